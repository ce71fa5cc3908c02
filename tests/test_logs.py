"""The log: one line for each event, whatever it contains."""

import io
import os
from collections.abc import Callable
from pathlib import Path
from typing import NoReturn, cast

from twisted.internet.task import Clock
from twisted.logger import (
    ILogObserver,
    LogEvent,
    LogPublisher,
    eventAsJSON,
    formatEvent,
    textFileLogObserver,
)
from twisted.logger import Logger as TwistedLogger
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase

from imgd.logs import Logger, SeldomFailures, escape, one_line

FORGERY = "scan\n2026-01-01T00:00:00+0000 [imgd#info] Unloaded everything"


def observer(function: Callable[[LogEvent], None]) -> ILogObserver:
    """A function provides ILogObserver; the type checker cannot see it."""
    return cast(ILogObserver, function)


class Nasty:
    """An object of another package."""

    def __str__(self) -> str:
        return "first\nsecond"


class Declaring:
    """A class that declares its logger as Twisted's documentation does."""

    events: list[LogEvent] = []
    log = Logger(observer=observer(events.append))


class TextLogTests(SynchronousTestCase):
    """The text of twistd's log."""

    def setUp(self) -> None:
        self.file = io.StringIO()
        self.events: list[LogEvent] = []
        self.publisher = LogPublisher(textFileLogObserver(self.file), observer(self.events.append))
        self.log = Logger(observer=self.publisher)

    def line(self) -> str:
        """The text of the log, which must be one whole line."""
        text = self.file.getvalue()
        self.assertEqual(text.count("\n"), 1)
        self.assertTrue(text.endswith("\n"))
        self.assertTrue(text.strip().isprintable(), text)
        return text.strip()

    def test_forgery(self) -> None:
        """A newline in a value does not begin a new line."""
        self.log.info("Loaded {name}", name=FORGERY)
        self.assertIn("Loaded scan\\n2026-01-01", self.line())

    def test_bytes_paths_and_exceptions(self) -> None:
        """Bytes, paths, exceptions and other objects are escaped text as well."""
        self.log.warn(
            "{raw} {path} {error} {names} {other}",
            raw=b"a\r\xff",
            path=Path("/data/b\x1b[2J"),
            error=ValueError("c\x85"),
            names=["d\n"],
            other=Nasty(),
        )
        self.assertIn(
            "a\\r\\xff /data/b\\x1b[2J c\\x85 ['d\\n'] first\\nsecond",
            self.line(),
        )

    def test_undecodable_name(self) -> None:
        """A line with a file name that is not UTF-8 can be written as UTF-8."""
        self.log.info("{name}", name=os.fsdecode(b"caf\xe9"))
        self.line().encode("utf-8")
        self.assertIn("caf\\udce9", self.line())

    def test_format_itself(self) -> None:
        """A newline in the format is escaped too."""
        self.log.info("one\ntwo")
        self.assertIn("one\\ntwo", self.line())

    def test_numbers_keep_their_type(self) -> None:
        """A number can be formatted, and is a number in structured logs."""
        self.log.info("{seconds:.1f} s, {count:,}", seconds=1.25, count=10000)
        self.assertIn("1.2 s, 10,000", self.line())
        self.assertIn('"count": 10000', eventAsJSON(self.events[0]))

    def test_failure(self) -> None:
        """The exception being handled is logged with its traceback on the same line."""
        try:
            raise ValueError(FORGERY)  # noqa: TRY301
        except ValueError:
            self.log.failure("While loading {name}", name="a\n")
        line = self.line()
        self.assertIn("#critical] While loading a\\n: Traceback (most recent call last):\\n", line)
        self.assertIn("Unloaded everything", line)

    def test_given_failure(self) -> None:
        """A Failure that is passed is logged, also by Twisted's context managers."""

        def fail() -> None:
            raise KeyError("x")

        with self.log.failuresHandled("Trying") as operation:
            fail()
        self.assertTrue(operation.failed)
        self.assertIn("Trying: Traceback", self.line())

    def test_failure_that_cannot_be_shown(self) -> None:
        """An exception whose own text raises does not stop the log."""

        class MuteError(Exception):
            def __str__(self) -> NoReturn:
                raise RuntimeError

        self.log.failure("Odd", Failure(MuteError()))
        self.assertIn("Odd: ", self.line())

    def test_other_packages(self) -> None:
        """With ``one_line`` added first, events of other packages are one line each."""
        publisher = LogPublisher(observer(one_line), textFileLogObserver(self.file))
        TwistedLogger(observer=publisher).failure(
            "From {who}", Failure(ValueError("a\nb")), who=FORGERY
        )
        self.assertIn("From scan\\n2026", self.line())
        self.assertIn("a\\nb", self.line())

    def test_other_packages_failures(self) -> None:
        """Tracebacks of other packages are logged once a second, with the number of those left out;
        nothing else is left out.
        """
        clock = Clock()
        publisher = LogPublisher(
            observer(SeldomFailures(clock.seconds)),
            observer(one_line),
            textFileLogObserver(self.file),
        )
        twisted = TwistedLogger(observer=publisher)
        for _ in range(3):
            twisted.failure("Unhandled", Failure(ValueError("x")))
            twisted.info("Fine")
        clock.advance(1)
        twisted.failure("Again", Failure(ValueError("x")))
        clock.advance(1)
        twisted.failure("Alone", Failure(ValueError("x")))
        lines = [line.partition("] ")[2] for line in self.file.getvalue().splitlines()]
        self.assertEqual(
            [line.partition(":")[0] for line in lines],
            [
                "Unhandled",
                "Fine",
                "Fine",
                "Fine",
                "Again (and 2 more that were not told)",
                "Alone",
            ],
        )

    def test_one_line_already(self) -> None:
        """``one_line`` does not change the text of an event that is one line already."""
        self.log.info("{count} {name}", count=3, name="a\nb")
        before = formatEvent(self.events[0])
        one_line(self.events[0])
        self.assertEqual(formatEvent(self.events[0]), before)
        self.assertEqual(self.events[0]["count"], 3)


class LoggerTests(SynchronousTestCase):
    """The logger as an attribute, and in tests."""

    def test_module(self) -> None:
        """A logger made in a module has the module's name."""
        self.assertEqual(Logger().namespace, __name__)

    def test_class_attribute(self) -> None:
        """A logger declared on a class has the class's name, and the instance as its source."""
        declaring = Declaring()
        declaring.log.info("Hello {name}", name="a\nb")
        event = Declaring.events.pop()
        self.assertEqual(event["log_namespace"], f"{__name__}.Declaring")
        self.assertIs(event["log_source"], declaring)
        self.assertIsInstance(declaring.log, Logger)
        self.assertEqual(formatEvent(event), "Hello a\\nb")

    def test_failures_fail_tests(self) -> None:
        """A logged failure reaches trial's ``flushLoggedErrors``, with its type."""
        Logger().failure("Unexpected", Failure(ZeroDivisionError("x")))
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)

    def test_errors_do_not_fail_tests(self) -> None:
        """``error`` reports an error that was handled, which is no failure for trial."""
        Logger().error("The disk is full")
        self.assertEqual(self.flushLoggedErrors(), [])


class EscapeTests(SynchronousTestCase):
    """What is escaped and what is not."""

    def test_unsafe(self) -> None:
        """Controls, separators, direction marks and lone surrogates are escaped."""
        cases = {
            "\0\t\n\x1b\x7f": "\\x00\\t\\n\\x1b\\x7f",
            "\x80\x85\x9f": "\\x80\\x85\\x9f",
            "\u2028\u2029": "\\u2028\\u2029",
            "\u202e\u2066\u200f\u061c": "\\u202e\\u2066\\u200f\\u061c",
            "\ud800\udce9": "\\ud800\\udce9",
        }
        for text, escaped in cases.items():
            self.assertEqual(escape(text), escaped)
            self.assertEqual(escape(escaped), escaped)

    def test_safe(self) -> None:
        """Text in any script, emoji and backslashes are not changed."""
        for text in ("Gehirn é 脳 мозг दिमाग", "\U0001f9e0", "C:\\scans", '"quoted"'):
            self.assertEqual(escape(text), text)
