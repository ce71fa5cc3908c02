"""What is checked every second."""

from __future__ import annotations

from imgd.core import health
from tests.host.machine_case import MachineCase


class CheckTests(MachineCase):
    def test_check(self) -> None:
        """A check is made every second, and its reason stays while it gives one."""
        detail = ["access.log"]
        self.checks.add(health.ACCESS_LOG, lambda: detail[0])
        self.pass_seconds(3)
        self.assertEqual(self.reasons, ["The access log cannot be written."])
        detail[0] = ""
        self.pass_seconds(1)
        self.assertEqual(self.reasons, [])
        self.assertEqual(self.reported, ["Degraded", "Recovered"])

    def test_check_fails(self) -> None:
        """A check that fails is logged, the others are made, and checking goes on."""

        def fail() -> str:
            raise ZeroDivisionError

        self.checks.add(health.ACCESS_LOG, fail)
        self.checks.add(health.CONNECTIONS, lambda: "all are taken")
        self.pass_seconds(3)
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 3)
        self.assertEqual(len(self.reasons), 1)

    def test_each_second(self) -> None:
        """What is to be done every second is."""
        seen: list[float] = []
        self.checks.each_second(lambda: seen.append(self.reactor.seconds()))
        self.pass_seconds(3)
        self.assertEqual(seen, [1, 2, 3])
