"""The names that a leaf holds."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from imgd.certificates.names import collect, required_names
from imgd.errors import StartError
from imgd.host import addresses


class NamesTests(SynchronousTestCase):
    def test_always(self) -> None:
        """Every leaf is for the loopback names and those by which containers reach their host."""
        names = collect("localhost", (), ())
        self.assertEqual(
            names.dns, ("host.containers.internal", "host.docker.internal", "localhost")
        )
        self.assertEqual(names.ips, ("127.0.0.1", "::1"))

    def test_machine(self) -> None:
        """This machine's own names and addresses are in."""
        names = required_names("localhost", ())
        self.assertLessEqual(
            {n.lower() for n in addresses.machine_names()}, {*names.dns, *names.ips}
        )
        self.assertLessEqual(set(addresses.machine_addresses()), set(names.ips))

    def test_wildcard_addresses(self) -> None:
        """An unspecified address names no machine, wherever it comes from."""
        for host in ("0.0.0.0", "::", "[::]", ""):
            self.assertEqual(collect(host, (), ("0.0.0.0",)), collect("localhost", (), ()))

    def test_given(self) -> None:
        """Names are given in any writing; the certificate has one."""
        table = {
            "Scanner.Example.ORG.": "scanner.example.org",
            "bücher.example": "xn--bcher-kva.example",
            "*.imaging.example": "*.imaging.example",
            "pacs_1": "pacs_1",
            "3t.example": "3t.example",
            "[2001:DB8::0:1]": "2001:db8::1",
            "fe80::1%eth0": "fe80::1",
            "10.0.0.7": "10.0.0.7",
        }
        for given, expected in table.items():
            names = collect("localhost", [given], ())
            self.assertIn(expected, (*names.dns, *names.ips))
            self.assertEqual(collect(given, (), ()), names)

    def test_bad(self) -> None:
        """What no certificate can hold is an error naming it, from a user, and ignored from
        the machine.
        """
        bad = ("", " ", "a b", "-a", "a-", "a..b", "300.1.1.1", "x" * 64, "a." * 127 + "ab")
        for name in (
            *bad,
            "*.localhost",
            "https://a",
            "a:8888",
            "a/b",
            "*",
            "a.*.b",
            "\udcff",
            "☃.-x",
        ):
            with self.assertRaises(StartError) as caught:
                collect("localhost", [name], ())
            self.assertIn(f"--tls-name {name!r}", caught.exception.detail)
            self.assertEqual(collect("localhost", (), [name]), collect("localhost", (), ()))
        with self.assertRaises(StartError) as caught:
            collect("a b", (), ())
        self.assertIn("--host 'a b'", caught.exception.detail)

    def test_given_by_the_operator(self) -> None:
        """What the operator gave is known, in the certificate's own writing."""
        names = collect("10.0.0.1", ["Images.Example."], ("own",))
        self.assertEqual(names.given, {"10.0.0.1", "images.example"})
