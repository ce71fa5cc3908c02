"""A folder to be served with much around it: what is in it, and what each request gives."""

from __future__ import annotations

import contextlib
import os
import socket
import stat
from dataclasses import replace

from twisted.trial.unittest import SynchronousTestCase

from imgd.errors import NotFound
from imgd.files import disk, real_path
from imgd.files.disk import Root
from imgd.files.real_path import RealPath
from tests.fakes import write

LONGEST = "l" * 251 + ".png"  # 255 bytes, the longest name that Linux and macOS take
BEST = real_path.choose()
RAW = "caf\udce9.png"  # not UTF-8
FILES = {
    "root/a.png": b"a",
    "root/notes.txt": b"notes",
    "root/sub/b.png": b"b",
    "root/sub/deep/c.png": b"c",
    "root/%2e%2e.png": b"percent",
    "root/new\nline.png": b"line",
    "root/a.key (deleted)": b"odd",
    f"root/{LONGEST}": b"long",
    "root/.hidden.png": b"hidden",
    "root/.git/x.png": b"git",
    "root/server.key": b"key",
    "root/Server.PEM": b"pem",
    "root/reserved/r.png": b"reserved",
    "root-secret/s.png": b"sibling",
    "outside/o.png": b"outside",
    "outside/.h.png": b"hidden outside",
    "outside/.ssh/k.png": b"hidden folder outside",
    "outside/k.pem": b"pem outside",
    "outside/deep/p.png": b"deep outside",
    "state/t.png": b"state",
}
LINKS = {
    "root/in.png": "a.png",
    "root/chain.png": "in.png",
    "root/absolute.png": "{top}/root/a.png",
    "root/around.png": "../root/a.png",
    "root/insub.png": "sub/b.png",
    "root/sublink": "sub",
    "root/self": ".",
    "root/plain.txt": "a.png",
    "root/text.png": "notes.txt",
    "root/out.png": "../outside/o.png",
    "root/outdir": "{top}/outside",
    "root/sibling.png": "../root-secret/s.png",
    "root/hop.png": "../outside/hop.png",
    "outside/hop.png": "o.png",
    "outside/back.png": "../root/a.png",
    "root/loop.png": "loop.png",
    "root/ping.png": "pong.png",
    "root/pong.png": "ping.png",
    "root/dangling.png": "gone.png",
    "root/under.png": "a.png/under",
    "root/to_hidden.png": ".hidden.png",
    "root/to_git.png": ".git/x.png",
    "root/gitdir": ".git",
    "root/to_key.png": "server.key",
    "root/to_pem.png": "../outside/k.pem",
    "root/to_hidden_out.png": "../outside/.h.png",
    "root/to_ssh.png": "../outside/.ssh/k.png",
    "root/sshdir": "../outside/.ssh",
    "root/to_state.png": "../state/t.png",
    "root/statedir": "../state",
    "root/zero.png": "/dev/zero",
    "root/null.png": "/dev/null",
    "root/stdin.png": "/dev/stdin",
    "root/status.png": "/proc/self/status",
    "root/procdir": "/proc/self",
}
# What each request gives: from a document root, and from one that follows links out of it.
SERVED = {
    "a.png": b"a",
    "notes.txt": b"notes",
    "sub/b.png": b"b",
    "sub/deep/c.png": b"c",
    "%2e%2e.png": b"percent",
    "new\nline.png": b"line",
    "a.key (deleted)": b"odd",
    LONGEST: b"long",
    "in.png": b"a",
    "chain.png": b"a",
    "absolute.png": b"a",
    "around.png": b"a",
    "insub.png": b"b",
    "sublink/b.png": b"b",
    "sublink/deep/c.png": b"c",
    "self/self/a.png": b"a",
    "plain.txt": b"a",
    "text.png": b"notes",
}
FOLLOWED = {
    "out.png": b"outside",
    "outdir/o.png": b"outside",
    "outdir/deep/p.png": b"deep outside",
    "outdir/hop.png": b"outside",
    "sibling.png": b"sibling",
    "hop.png": b"outside",
}
ALWAYS = {"outdir/back.png": b"a"}  # over a folder that is outside, and back: it lies in the root
NEVER = [
    *("missing.png", "sub/missing.png", "a.png/b.png", "sub", "", "self", "outdir"),
    *(".hidden.png", ".git/x.png", "server.key", "Server.PEM", "reserved/r.png"),
    *("loop.png", "ping.png", "pong.png", "dangling.png", "under.png", "loop.png/a.png"),
    *("to_hidden.png", "to_git.png", "gitdir/x.png", "to_key.png", "to_pem.png"),
    *("to_hidden_out.png", "to_ssh.png", "sshdir/k.png", "outdir/.ssh/k.png", "outdir/k.pem"),
    *("to_state.png", "statedir/t.png", "outdir/../a.png"),
    *("zero.png", "null.png", "stdin.png", "status.png", "procdir/status"),
    *("fifo.png", "socket.png", "device.png", "folder.png"),
    *("x" * 300 + ".png", "é" * 150, "a.png\0", "\0", "\ud800.png", "a.png/", "/etc/passwd"),
]
# As they stand in a request line. None of them is a file below the root.
HOSTILE = [
    *(b"/../root-secret/s.png", b"/%2e%2e/root-secret/s.png", b"/..%2froot-secret%2fs.png"),
    *(b"/.%2e/outside/o.png", b"/sub/%2E%2E/a.png", b"/sub/../a.png", b"/./a.png", b"/%2e/a.png"),
    *(b"/sub%2fb.png", b"/sub%5cb.png", b"/sub\\b.png", b"/..%5coutside%5co.png", b"//a.png"),
    *(b"/sub//b.png", b"//etc/passwd", b"/%2fetc%2fpasswd", b"/%252e%252e/outside/o.png"),
    *(b"/%c0%ae%c0%ae/outside/o.png", b"/%e0%80%ae%e0%80%ae/outside/o.png", b"/a.png%00"),
    *(b"/a.png%00.txt", b"/%00", b"/-secret/s.png", b"/%zz", b"/%", b"/a.png%", b"a.png", b""),
    *(
        b"/%2ehidden.png",
        b"/%2Egit/x.png",
        b"/server%2ekey",
        b"/server.%6Bey",
        b"/%ff%fe",
        b"/~root",
    ),
    *(b"/A.PNG/..", b"/" + b"../" * 50 + b"etc/passwd", b"/" + b"a/" * 5000, b"/" + b"x" * 70_000),
]


def names_of(path: str) -> tuple[str, ...]:
    return tuple(path.split("/"))


class DiskCase(SynchronousTestCase):
    """The folder ``top`` with a root in it, and much around that."""

    def setUp(self) -> None:
        self.top = os.path.realpath(self.mktemp())
        for name, data in FILES.items():
            write(os.path.join(self.top, name), data)
        for name, target in LINKS.items():
            os.symlink(target.format(top=self.top), os.path.join(self.top, name))
        self.path = os.path.join(self.top, "root")
        self.make_odd_ones()
        self.root = Root(
            self.path,
            forbidden=(os.path.join(self.top, "state"),),
            hidden=frozenset({"reserved"}),
        )
        self.following = replace(self.root, follow_symlinks=True)

    def make_odd_ones(self) -> None:
        self.join_mkdir("folder.png")
        os.mkfifo(self.join("fifo.png"))
        listener = socket.socket(socket.AF_UNIX)
        self.addCleanup(listener.close)
        there = os.open(self.path, os.O_RDONLY)
        self.addCleanup(os.close, there)
        # By way of /proc: the path of a socket is short, and trial's folders are not.
        with contextlib.suppress(OSError):
            listener.bind(f"/proc/self/fd/{there}/socket.png")
        with contextlib.suppress(OSError):  # root alone may
            os.mknod(self.join("device.png"), 0o666 | stat.S_IFCHR, os.makedev(1, 5))

    def join(self, name: str) -> str:
        return os.path.join(self.path, name)

    def join_mkdir(self, name: str) -> None:
        os.mkdir(self.join(name))

    def data(self, root: Root, path: str, way: RealPath = BEST) -> bytes | None:
        """What is served, or None for the one NotFound that there is."""
        try:
            file = disk.open_file(root, names_of(path), way)
        except NotFound as error:
            self.assertEqual((str(error), error.detail, error.status), ("Not found",) * 2 + (404,))
            self.assertTrue(error.__suppress_context__ or error.__context__ is None)
            return None
        try:
            return file.read(0, 1_000)
        finally:
            file.close()
