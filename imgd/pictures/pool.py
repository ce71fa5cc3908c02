"""The pool of worker processes: who works, who waits, and what happens if no worker starts."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final

from twisted.internet.defer import Deferred, fail
from twisted.internet.interfaces import IDelayedCall

from imgd.core import health
from imgd.core.messages import PicturesReport
from imgd.errors import Unavailable
from imgd.host.health_monitor import HealthMonitor
from imgd.logs import Logger
from imgd.pictures.views import View
from imgd.pictures.waiting import CANNOT, SLICES, Files, JobQueue, Picture, ViewJob
from imgd.pictures.worker_process import COMMAND
from imgd.pictures.worker_slot import PoolFacts, WorkerSlot

MAX_WAITING: Final = 64  # views for each worker
FIRST_DELAY: Final = 1.0  # seconds before another start, doubled each time
MAX_DOUBLINGS: Final = 5  # to half a minute
BROKEN: Final = 2  # starts that failed in a row
# Processes for each worker that there may be while some were killed and do not end, because a disk
# holds them up.
MAX_HELD_UP: Final = 4
# Seconds that a job for slices waits for more views of its volume: a viewer asks for three planes
# by three connections, and all are made in one pass through the file.
GATHERING: Final = 0.01


class PicturePool:
    """Makes pictures in at most ``workers`` processes, which are started when there is work.

    ``timeout`` is in seconds for each picture, and six times as long for those of volumes.
    ``on_extra`` gets what was made and nobody waits for (any more), with its source_key.
    """

    log = Logger()

    def __init__(
        self,
        reactor: Any,
        *,
        workers: int,
        max_pixels: int,
        timeout: float,
        health_monitor: HealthMonitor,
        command: Sequence[str] = COMMAND,
    ) -> None:
        self._reactor = reactor
        self._workers = workers
        self._health_monitor = health_monitor
        self._facts = PoolFacts(command, max_pixels, timeout)
        self._queue = JobQueue(workers * MAX_WAITING)
        self._slots: list[WorkerSlot] = []  # of processes that there are, the last used last
        self._failed_starts = 0
        self._retry: IDelayedCall | None = None
        self._gathering: IDelayedCall | None = None
        self._stopping: Deferred[None] | None = None
        self._told_what_lacks = False
        self.on_extra: Callable[[bytes, Picture], object] = lambda source_key, picture: None

    def make(
        self, source_key: bytes, files: Files, view: View, client: str = ""
    ) -> Deferred[Picture]:
        """A view of ``files``, the file itself and then those that hold its data.

        ``source_key`` is the same for the same bytes: all who ask for one view of it share one job.
        ``client`` is an address: clients take turns. The files stay the caller's, and must stay
        open until this Deferred fires or is cancelled. An ImgdError has the status and the sentence
        for the user; it is Unavailable if too many wait, or no worker starts.
        """
        if self._stopping is not None or self._is_broken:
            return fail(Unavailable(CANNOT))
        for job in self._jobs():
            if job.source_key == source_key and view in job.views:
                return job.wait(view, files)
        try:
            now = self._reactor.seconds()
            waiter = self._queue.wait(source_key, files, view, client, now)
        except Unavailable as error:
            return fail(error)
        if view.kind in SLICES:
            self._gather()
        self._advance()
        return waiter

    def status(self) -> PicturesReport:
        """What the pool is doing now, and what it did since it was made."""
        return PicturesReport(
            workers=self._workers,
            busy=len(self._jobs()),
            waiting=len(self._queue),
            made=self._facts.made,
            failed=self._facts.failed,
        )

    def stop(self) -> Deferred[None]:
        """End every worker, whatever it does; fires when all are gone."""
        stopping = self._stopping = Deferred()
        for call in (self._retry, self._gathering):
            if call is not None and call.active():
                call.cancel()
        error = Unavailable("The server is stopping.")
        self._queue.fail(error)
        for slot in list(self._slots):
            if slot.job is not None:
                slot.job.fail(error)
                slot.job = None
            slot.kill("the daemon ends")
        self._end_stopping()
        return stopping

    def _end_stopping(self) -> None:
        if self._stopping is not None and not self._stopping.called and not self._slots:
            self._stopping.callback(None)

    # Which job is next

    def _jobs(self) -> list[ViewJob]:
        """Those under way."""
        return [slot.job for slot in self._slots if slot.job is not None]

    def prepare(self) -> None:
        """Start a worker if there is none: a picture will be asked for in a moment."""
        if self._stopping is None and not self._slots and self._may_start():
            self._start()

    def _advance(self) -> None:
        """Give jobs to idle workers; if none is idle, start another that is missing."""
        if self._stopping is not None:
            return
        while (slot := self._idle_slot()) and (job := self._queue.take(self._may_begin)):
            self._slots.sort(key=lambda other: other is slot)
            if not slot.begin(job, is_volume=self._is_volume(job)):
                self._queue.put_back(job)
        if self._may_start() and self._queue.next(self._may_begin) is not None:
            self._start()

    def _idle_slot(self) -> WorkerSlot | None:
        """The one that was used last: others may have been idle long enough to end."""
        return next((slot for slot in reversed(self._slots) if slot.is_idle), None)

    def _may_begin(self, job: ViewJob) -> bool:
        """One job of a source at a time: what is asked meanwhile is made in the next pass. Volumes
        leave a worker to others, if there are two.
        """
        if self._is_gathering(job) or job.source_key in {j.source_key for j in self._jobs()}:
            return False
        volumes = sum(slot.job is not None and slot.is_volume for slot in self._slots)
        return not self._is_volume(job) or volumes < max(1, self._workers - 1)

    def _gather(self) -> None:
        """Go on once a job for slices has waited long enough."""
        if self._gathering is None:
            self._gathering = self._reactor.callLater(GATHERING, self._gathered)

    def _gathered(self) -> None:
        self._gathering = None
        self._advance()
        if self._queue.next(self._is_gathering) is not None:
            self._gather()

    def _is_gathering(self, job: ViewJob) -> bool:
        return job.cuts and self._reactor.seconds() < job.since + GATHERING

    def _is_volume(self, job: ViewJob) -> bool:
        return job.cuts or job.source_key in self._facts.volumes

    # Workers

    @property
    def _is_broken(self) -> bool:
        return self._failed_starts >= BROKEN

    def _may_start(self) -> bool:
        """One starts at a time: the next when this one is ready, if there is still work."""
        if self._retry is not None or len(self._slots) >= self._workers * MAX_HELD_UP:
            return False
        there = [slot for slot in self._slots if not slot.is_leaving]
        is_one_free = any(slot.is_idle or not slot.is_ready for slot in there)
        return not is_one_free and len(there) < self._workers

    def _start(self) -> None:
        self._retry = None
        try:
            self._slots.append(WorkerSlot(self._reactor, self, self._facts))
        except OSError as error:  # no descriptor, memory or process is left
            self._start_failed(str(error))

    def _start_failed(self, reason: str) -> None:
        doublings = min(self._failed_starts, MAX_DOUBLINGS)
        self._failed_starts += 1
        if self._retry is None:
            self._retry = self._reactor.callLater(FIRST_DELAY * 2**doublings, self._start)
        if self._is_broken:
            self._health_monitor.report(health.PICTURES, detail=reason, lasts=True)
            self._queue.fail(Unavailable(CANNOT))
        else:
            self.log.warn("A picture worker did not start: {reason}", reason=reason)

    # What workers tell

    def ready(self, lacks: str) -> None:
        """A worker can be given a job; its platform lacks this of a sandbox."""
        self._failed_starts = 0
        self._health_monitor.clear(health.PICTURES)
        if lacks and not self._told_what_lacks:
            self._told_what_lacks = True
            message = "Pictures are made without {lacks}, which this platform does not have"
            self.log.warn(message, lacks=lacks)
        self._advance()

    def free(self) -> None:
        """A job has ended: there is room for another."""
        self._advance()

    def gone(self, slot: WorkerSlot, reason: str) -> None:
        """A worker is no more."""
        self._slots.remove(slot)
        if self._stopping is not None:
            self._end_stopping()
            return
        if not slot.is_ready:
            self._start_failed(reason)
        elif not slot.is_leaving:
            self.log.info("A picture worker ended: {reason}", reason=reason)
        self._advance()

    def unasked(self, source_key: bytes, picture: Picture) -> None:
        """A picture was made, and nobody waits for it."""
        self.on_extra(source_key, picture)
