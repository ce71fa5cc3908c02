"""The machine underneath, as the daemon meets it: its disks, and what is wrong with it."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from typing import Any, Final

from twisted.internet.defer import Deferred
from twisted.internet.task import LoopingCall
from twisted.python.failure import Failure

from imgd.collections import scan
from imgd.collections.scan import Index
from imgd.collections.store import Store
from imgd.core import health
from imgd.errors import Unavailable
from imgd.files.disk import Root
from imgd.host import write_check
from imgd.host.health_monitor import HealthMonitor
from imgd.host.workers import Workers
from imgd.logs import Logger

TICK: Final = 1.0  # seconds
# Threads that read directories, sort and write lists: each is a rival of the reactor's own for the
# interpreter's lock. More of them run where some wait for a disk.
READERS: Final = 2
LOOKS: Final = 64  # threads that may wait for an answer whether a directory is there
PROBE_EVERY: Final = 10.0  # seconds between two looks whether a full disk has room again


class BlockingRunner:
    """Runs what may wait for a disk, and keeps ``health_monitor``.

    Served directories have threads of their own, so that one which does not answer holds up
    neither another nor what the daemon itself stores; and so have the quick questions whether one
    is there and has changed. ``reactor`` counts monotonic seconds.
    """

    log = Logger()

    def __init__(self, reactor: Any, state_dir: str, patience: float) -> None:
        self.health_monitor = HealthMonitor(reactor.seconds)
        self._seconds = reactor.seconds
        self._state_dir = state_dir
        self._disks = Workers(reactor, reactor.seconds, patience, at_once=READERS)
        self._looks = Workers(reactor, reactor.seconds, patience, most=LOOKS, behind=LOOKS)
        self._own = Workers(reactor, reactor.seconds, patience, at_once=4, each=1, behind=4)
        self._aside = Workers(reactor, reactor.seconds, patience, at_once=1, each=1, behind=1)
        self._checks: dict[str, Callable[[], str]] = {}
        self._each_second: list[Callable[[], None]] = []
        self._probed = 0.0
        self._store: Store | None = None
        self._is_looking = False
        self._rounds = LoopingCall(self._tick)
        self._rounds.clock = reactor

    def start(self) -> None:
        """Look after what is overdue, and whether faults are over, from now on."""
        self._rounds.start(TICK, now=False)

    def stop(self) -> None:
        """Look no more; work under way is done, or left behind."""
        if self._rounds.running:
            self._rounds.stop()
        self._disks.close()
        self._looks.close()
        self._own.close()
        self._aside.close()

    def check(self, name: str, look: Callable[[], str]) -> None:
        """Ask every second whether there is this fault: ``look`` gives a detail, or ""."""
        self._checks[name] = look

    def keep(self, store: Store) -> None:
        """Look every second whether this store's file is still in its place, changes or none."""
        self._store = store

    def each_second(self, act: Callable[[], None]) -> None:
        """Do this every second."""
        self._each_second.append(act)

    def no_descriptor(self, what: str) -> None:
        """A connection could not be accepted for want of a descriptor."""
        self.health_monitor.report(health.DESCRIPTORS, detail=what)

    def run(self, f: Callable[..., Any], *args: Any) -> Deferred[Any]:
        """Run what waits for a served directory, or for the daemon's own store."""
        if isinstance(getattr(f, "__self__", None), Store):
            return self.run_internal(f, *args).addCallbacks(self._stored, self._not_stored)
        place = _place_of(f, args)
        if getattr(f, "__func__", f) in _LOOKS:
            return self._looks.run(place, f, *args)
        return self._disks.run(place, f, *args, key=_key_of(place, args))

    def run_internal(self, f: Callable[..., Any], *args: Any) -> Deferred[Any]:
        """Run what waits for the daemon's own files."""
        return self._own.run(getattr(f, "__qualname__", "").partition(".")[0], f, *args)

    def run_unawaited(self, f: Callable[..., Any], *args: Any) -> Deferred[Any]:
        """Run what nobody waits for: one piece at a time, and no fault where it is slow."""
        return self._aside.run("", f, *args)

    def _stored(self, result: Any) -> Any:
        self.health_monitor.clear(health.STATE)
        return result

    def _not_stored(self, failure: Failure) -> Failure:
        if failure.check(Unavailable):
            self.health_monitor.report(health.STATE, detail=failure.value, lasts=True)
        return failure

    def _tick(self) -> None:
        try:
            self._look()
        except Exception:
            self.log.failure("Looking after the machine failed, and goes on")

    def _look(self) -> None:
        lanes = (self._disks, self._looks, self._own)
        for fast_path in (*lanes, self._aside):
            fast_path.tick()
        slow = {place for fast_path in lanes for place in fast_path.slow()}
        self._set(health.DISK, ", ".join(sorted(slow)))
        for name, look in self._checks.items():
            self._set(name, look())
        self.health_monitor.tick()
        for act in self._each_second:
            act()
        self._look_after_state()

    def _look_after_state(self) -> None:
        """One look at a time, or one trial write where the state could not be stored, on a thread:
        the state folder's disk may hang like any other.
        """
        if self._is_looking:
            return
        if health.STATE in self.health_monitor and self._seconds() - self._probed >= PROBE_EVERY:
            self._probed = self._seconds()
            looking = self.run_internal(self._probe).addCallback(self._stored)
        elif self._store is not None:
            looking = self.run_internal(self._store.check_place)
        else:
            return
        self._is_looking = True
        looking.addErrback(self._not_stored).addBoth(self._looked)

    def _looked(self, _: object) -> None:
        self._is_looking = False

    def _probe(self) -> None:
        """Whether a change could be stored again. Blocks."""
        if self._store is None:
            write_check.write(self._state_dir)
        else:
            self._store.in_place(write_check.write, self._state_dir)

    def _set(self, name: str, detail: str) -> None:
        if detail:
            self.health_monitor.report(name, detail=detail, lasts=True)
        else:
            self.health_monitor.clear(name)


_LOOKS: Final = (scan.available, Index.is_fresh)


def _key_of(place: str, args: tuple[Any, ...]) -> Hashable | None:
    """Of what work only one piece makes sense at once: the same folder of the same place."""
    if any(isinstance(arg, Root) for arg in args):
        return place, next((arg for arg in args if isinstance(arg, tuple)), ())
    return None


def _place_of(f: Callable[..., Any], args: tuple[Any, ...]) -> str:
    """The directory that a piece of work waits for, as far as it can be told."""
    things = [getattr(f, "__self__", None), *args]
    things += [thing[0] for thing in args if isinstance(thing, list) and thing]
    for thing in things:
        root = getattr(thing, "root", thing)
        if isinstance(root, Root):
            return root.path
        if isinstance(thing, Index) and thing.folders:
            return thing.folders[0][0]
    return next((thing for thing in args if isinstance(thing, str)), "")
