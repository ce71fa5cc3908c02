"""``imgd trust``: what it prints is run, against a real daemon."""

from __future__ import annotations

import importlib.util
import io
import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SkipTest, SynchronousTestCase

from imgd.client.cli import guarded, perform
from imgd.client.commands import CliContext
from imgd.client.options import parse
from tests.daemons import PATIENCE, Daemon, environment, shared_daemon

BODY = b"a volume of the tests"
FETCH = {
    "requests": [
        *(sys.executable, "-c"),
        "import sys, requests; print(requests.get(sys.argv[1], timeout=60).text)",
    ],
    "urllib": [
        *(sys.executable, "-c"),
        "import sys, urllib.request as r; print(r.urlopen(sys.argv[1]).read().decode())",
    ],
    "node": [
        *("node", "-e"),
        "fetch(process.argv[1]).then(a => a.text()).then(console.log)",
    ],
    "curl": ["curl", "-sS", "--noproxy", "*"],
}


def need(program: str) -> None:
    if program == "requests":
        if importlib.util.find_spec("requests") is None:
            raise SkipTest("no requests here")
    elif program != "urllib" and shutil.which(program) is None:
        raise SkipTest(f"no {program} here")


class TrustCase(SynchronousTestCase):
    def setUp(self) -> None:
        self.folder = Path(self.mktemp()).resolve()
        self.folder.mkdir(parents=True)
        self.home = self.folder / "home"
        self.home.mkdir()
        self.real: Daemon = shared_daemon("trust")
        (self.real.folder / "output" / "a scan.nii.gz").write_bytes(BODY)
        self.url = self.real.url + "a%20scan.nii.gz"

    def run_program(self, *command: str, **env: str) -> subprocess.CompletedProcess[bytes]:
        return subprocess.run(
            command,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=PATIENCE,
            cwd=self.folder,
            env=environment(self.home, env),
            check=False,
        )

    def imgd(self, *words: str, status: int = 0, said: str = "") -> list[str]:
        """The lines that ``imgd trust`` prints; what it remarks is in ``remarks``."""
        if "--state-dir" not in words:
            words = (*words, "--state-dir", str(self.real.folder / "state"))
        out, err = io.StringIO(), io.StringIO()
        env = {"HOME": str(self.home), "PATH": os.environ["PATH"]}
        context = CliContext(None, env, out, err, Clock())
        self.patch(sys, "stdin", io.StringIO(said))
        command = perform(context, parse(["trust", *words]))
        working = Deferred.fromCoroutine(guarded(context, command))
        self.remarks = err.getvalue()
        self.assertEqual(self.successResultOf(working), status, self.remarks)
        return out.getvalue().splitlines()

    def fetch(self, program: str, url: str, *, before: str = "", **env: str) -> bytes:
        """What a program fetches, in a shell that ran these lines before."""
        need(program)
        line = f"{before}\n{shlex.join([*FETCH[program], url])}"
        done = self.run_program("sh", "-ec", line, **env)
        return done.stdout.strip() or done.stderr


class PrintedTests(TrustCase):
    def test_docker(self) -> None:
        """With the file and the variables that a container gets, each client fetches the URL."""
        *options, url = self.imgd("a scan.nii.gz", "--for", "docker")
        self.assertEqual(self.imgd("a scan.nii.gz"), [*options, url])  # what is meant by default
        self.assertEqual(self.imgd(), options)
        text = " ".join(options)
        host, inside = re.findall(r"-v (\S+):(\S+):ro", text)[0]
        variables = dict(re.findall(r"-e (\w+)=(\S+)", text))
        self.assertEqual(set(variables.values()), {inside})
        self.assertIn("--add-host host.docker.internal:host-gateway", options)
        self.assertEqual(url, f"https://host.docker.internal:{self.real.port}/a%20scan.nii.gz")
        env = dict.fromkeys(variables, host)
        for program in FETCH:
            self.assertEqual(self.fetch(program, self.url, **env), BODY, program)
        need("curl")
        there = f"host.docker.internal:{self.real.port}:127.0.0.1"
        done = self.run_program("curl", "-sS", "--resolve", there, url, **env)
        self.assertEqual(done.stdout, BODY)

    def test_without(self) -> None:
        """Without what it prints, none of them trusts imgd."""
        for program in FETCH:
            self.assertNotEqual(self.fetch(program, self.url), BODY, program)

    def test_bundle(self) -> None:
        """The bundle has the system's certificates and the CA, may be read by all, and no key."""
        output = self.folder / "here.pem"
        options = self.imgd("--output", str(output))
        self.assertEqual(options[0].split()[1].split(":")[0], str(output))
        self.assertEqual(output.stat().st_mode & 0o777, 0o644)
        bundle = output.read_text()
        self.assertIn(self.real.ca.read_text().strip(), bundle)
        system = Path("/etc/ssl/certs/ca-certificates.crt")
        if system.exists():
            self.assertEqual(bundle.count("-----END"), system.read_text().count("-----END") + 1)
        both = self.folder / "both.pem"
        both.write_text(self.real.ca.read_text() + (self.real.folder / "state/ca.key").read_text())
        self.imgd("--output", str(output), "--ca", str(both))
        self.assertNotIn("PRIVATE", output.read_text())

    def test_exports(self) -> None:
        """The lines for requests, urllib and Node, run by a shell before the program."""
        for client, program in (("requests", "requests"), ("requests", "urllib"), ("node", "node")):
            *lines, url = self.imgd("a scan.nii.gz", "--for", client)
            self.assertEqual(url, self.url)
            self.assertEqual(self.fetch(program, url, before="\n".join(lines)), BODY, program)

    def test_curl(self) -> None:
        need("curl")
        [line] = self.imgd("a scan.nii.gz", "--for", "curl")
        self.assertEqual(self.run_program("sh", "-c", line).stdout, BODY)

    def test_java(self) -> None:
        """Java's store is copied, not changed, and has the CA."""
        need("keytool")
        lines = self.imgd("--for", "java", "--state-dir", str(self.state()))
        shell = "\n".join([*lines, 'echo "$JAVA_TOOL_OPTIONS"'])
        done = self.run_program("sh", "-ec", shell)
        self.assertEqual(done.returncode, 0, done.stderr)
        store = done.stdout.decode().strip().rpartition("=")[2]
        self.assertTrue(store.startswith(str(self.folder)))
        listed = ("keytool", "-list", "-keystore", store, "-storepass", "changeit")
        self.assertIn(b"trustedCertEntry", self.run_program(*listed, "-alias", "imgd").stdout)
        if shutil.which("javac"):
            program = self.folder / "Fetch.java"
            program.write_text(JAVA)
            done = self.run_program("sh", "-ec", f"{shell}; java Fetch.java {self.url}")
            self.assertIn(BODY, done.stdout)

    def state(self) -> Path:
        """A state folder of this test's own with the daemon's CA, for stores that are written."""
        state = self.folder / "state"
        state.mkdir(mode=0o700)
        shutil.copy(self.real.ca, state / "ca.pem")
        return state

    def test_urls(self) -> None:
        """A file is named as in a URL of this server, or by a whole URL."""
        base = f"https://host.docker.internal:{self.real.port}"
        for given, shown in (
            ("/images/ct.nii.gz", f"{base}/images/ct.nii.gz"),
            ("a#b?c.nii", f"{base}/a%23b%3Fc.nii"),
            ("a%20b.nii", f"{base}/a%20b.nii"),
            ("é.nii", f"{base}/%C3%A9.nii"),
            ("https://localhost:9/x?y=1", "https://host.docker.internal:9/x?y=1"),
        ):
            self.assertEqual(self.imgd(given)[-1], shown)

    def test_errors(self) -> None:
        """One sentence each: no CA, none in the file, nowhere to write, a name that docker cannot
        take.
        """
        empty = str(self.folder / "none")
        nothing = self.folder / "nothing.pem"
        nothing.write_text("nothing")
        for words, sentence in (
            (("--state-dir", empty), "start imgd once"),
            (("--ca", str(nothing)), "holds no certificate"),
            (("--output", str(nothing / "x")), "cannot be written"),
            (("--output", str(self.folder / "a:b.pem")), "name another by --output"),
            (("--for", "firefox"), "start it once, or import"),
        ):
            self.assertEqual(self.imgd(*words, status=1), [])
            self.assertIn(sentence, self.remarks)
            self.assertEqual(self.remarks.count("imgd: "), 1)

    def test_usage(self) -> None:
        """What makes no sense is status 2, as everywhere."""
        for words in ("--for docker --install", "--for cobol", "--install --uninstall"):
            self.patch(sys, "stderr", io.StringIO())
            with self.assertRaises(SystemExit) as raised:
                self.imgd(*words.split())
            self.assertEqual(raised.exception.code, 2)

    def test_not_running(self) -> None:
        """Options need no daemon that runs; a URL does."""
        state = str(self.state())
        self.assertEqual(len(self.imgd("--state-dir", state)), 6)
        self.imgd("x.nii", "--state-dir", state, status=1)
        self.assertIn("no imgd is running", self.remarks)


JAVA = """
public class Fetch {
  public static void main(String[] args) throws Exception {
    System.out.write(new java.net.URL(args[0]).openStream().readAllBytes());
  }
}
"""


class InstallTests(TrustCase):
    def listed(self, folder: Path) -> bytes:
        return self.run_program("certutil", "-d", f"sql:{folder}", "-L").stdout

    def test_chromium(self) -> None:
        """Printed lines, --install and --uninstall do to Chromium's store what they say."""
        need("certutil")
        store = self.home / ".pki" / "nssdb"
        self.assertEqual(self.imgd("--install", "--for", "chromium", said="n\n", status=1), [])
        self.assertIn("nothing was changed", self.remarks)
        self.assertFalse(store.exists())
        lines = self.imgd("--for", "chromium")
        self.run_program("sh", "-ec", "\n".join(lines))
        self.assertIn(b"imgd", self.listed(store))
        self.imgd("--uninstall", "--for", "chromium", said="y\n")
        self.assertNotIn(b"imgd", self.listed(store))
        done = self.imgd("--install", "--for", "chromium", said="yes\n")
        self.assertTrue(all(line.startswith("done: ") for line in done))
        self.assertRegex(self.listed(store), rb"imgd +C,,")
        self.imgd("--uninstall", "--for", "chromium", said="y\n")
        self.imgd("--uninstall", "--for", "chromium", said="y\n", status=1)
        self.assertIn("failed with status", self.remarks)

    def test_firefox(self) -> None:
        """Every profile gets it."""
        need("certutil")
        profiles = [self.home / ".mozilla" / "firefox" / name for name in ("a.default", "b.x")]
        for profile in profiles:
            profile.mkdir(parents=True)
            self.run_program("certutil", "-d", f"sql:{profile}", "-N", "--empty-password")
        self.imgd("--install", "--for", "firefox", said="y\n")
        self.assertEqual([b"imgd" in self.listed(profile) for profile in profiles], [True] * 2)
        self.imgd("--uninstall", "--for", "firefox", said="y\n")
        self.assertEqual([b"imgd" in self.listed(profile) for profile in profiles], [False] * 2)

    def test_system(self) -> None:
        """Debian's store, in a copy that only the test's own mount namespace sees."""
        need("unshare")
        need("curl")
        if os.geteuid() or not Path("/usr/sbin/update-ca-certificates").exists():
            raise SkipTest("not root, or no Debian here")
        copy = self.folder / "ssl"
        shutil.copytree("/etc/ssl", copy, symlinks=True)
        script = f"""
            mount --bind {copy} /etc/ssl
            mount -t tmpfs tmpfs /usr/local/share/ca-certificates
            export PATH=$PATH:/usr/sbin
            imgd() {{ {sys.executable} -m imgd.client.cli trust --state-dir \\
                {self.real.folder}/state "$@"; }}
            fetch() {{ curl -sS --noproxy '*' {self.url}; }}
            echo y | imgd --install >&2
            fetch
            echo y | imgd --uninstall >&2
            if fetch; then exit 9; fi
        """
        if self.run_program("unshare", "-m", "mount", "-t", "tmpfs", "tmpfs", "/mnt").returncode:
            raise SkipTest("no mount namespaces here")
        before = Path("/etc/ssl/certs/ca-certificates.crt").read_bytes()
        done = self.run_program("unshare", "-m", "sh", "-ec", script)
        self.assertEqual((done.returncode, done.stdout), (0, BODY), done.stderr.decode())
        self.assertEqual(Path("/etc/ssl/certs/ca-certificates.crt").read_bytes(), before)

    def test_no_answer(self) -> None:
        """Without anybody to ask, nothing is changed."""
        need("certutil")
        self.imgd("--install", "--for", "chromium", status=1)
        self.assertIn("nothing was changed", self.remarks)
