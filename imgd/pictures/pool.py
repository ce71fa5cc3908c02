"""The worker processes, the jobs that they do, and what happens if one does not."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Sequence
from typing import Any, Final

from twisted.internet.defer import Deferred, fail
from twisted.internet.interfaces import IDelayedCall

from imgd.core import health
from imgd.core.messages import PicturesReport
from imgd.errors import ImgdError, Unavailable
from imgd.host.health_monitor import HealthMonitor
from imgd.logs import Logger
from imgd.pictures.messages import Answer, Bug, Done, FromWorker, Job, Progress, Ready
from imgd.pictures.views import View, ViewKind
from imgd.pictures.waiting import Files, JobQueue, Picture, ViewJob
from imgd.pictures.worker_process import COMMAND, WorkerProcess

MAX_WAITING: Final = 64  # views for each worker
MAX_PICTURES: Final = 500  # of one worker: libraries leak
MAX_MEMORY: Final = 300_000_000  # bytes that a worker may hold between jobs
MAX_EXTRAS: Final = 256  # of one job: views that nobody asked for
VOLUME_FACTOR: Final = 6  # how much longer a volume may take
IDLE: Final = 600.0  # seconds after which a worker that has nothing to do ends
START_TIMEOUT: Final = 60.0  # seconds
FIRST_DELAY: Final = 1.0  # seconds before another start, doubled each time
LAST_DELAY: Final = 30.0
BROKEN: Final = 2  # starts that failed in a row
# Seconds that a job for slices waits for more views of its volume: a viewer asks for three planes
# by three connections, and all are made in one pass through the file.
GATHERING: Final = 0.01
MAX_VOLUMES: Final = 1024  # sources that are known to be volumes
_MEDIA_TYPES: Final = frozenset({"image/jpeg", "image/png", "application/json"})
_STATUSES: Final = frozenset({400, 413, 415, 422})


class _Slot:
    """A worker process and what it does."""

    def __init__(self) -> None:
        self.worker: WorkerProcess | None = None
        self.is_ready = False
        self.is_leaving = False  # it was killed or told to end
        self.job: ViewJob | None = None
        self.asked: frozenset[View] = frozenset()
        self.is_volume = False
        self.extras = 0
        self.pictures = 0
        self._call: IDelayedCall | None = None

    @property
    def is_idle(self) -> bool:
        return self.is_ready and self.job is None and not self.is_leaving

    def rearm(self, call: IDelayedCall | None) -> None:
        """At most one call is armed: a deadline, or the end of idleness."""
        if self._call is not None and self._call.active():
            self._call.cancel()
        self._call = call


class PicturePool:
    """Makes pictures in at most ``workers`` processes, which are started when there is work.

    ``timeout`` is in seconds for each picture, of volumes ``VOLUME_FACTOR`` times as long.
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
        self._max_pixels = max_pixels
        self._timeout = timeout
        self._health_monitor = health_monitor
        self._command = command
        self._queue = JobQueue(workers * MAX_WAITING)
        self._slots: list[_Slot] = []  # of processes that there are, the last used last
        self._volumes: OrderedDict[bytes, None] = OrderedDict()
        self._failed_starts = 0
        self._retry: IDelayedCall | None = None
        self._gathering: IDelayedCall | None = None
        self._stopping: Deferred[None] | None = None
        self._made = self._failed = 0
        self._told_what_lacks = False
        self.on_extra: Callable[[bytes, Picture], None] = lambda source_key, picture: None

    def make(
        self, source_key: bytes, files: Files, view: View, client: str = ""
    ) -> Deferred[Picture]:
        """A view of ``files``, the file itself and then those that hold its data.

        ``source_key`` is the same for the same bytes: all who ask for one view of it share one job.
        The files stay the caller's, and must stay open until this Deferred fires or is cancelled.
        An ImgdError has the status and the sentence for the user; Unavailable if too many wait.
        """
        if self._stopping is not None or self._is_broken:
            return fail(Unavailable("Pictures cannot be made now."))
        job = next((s.job for s in self._slots if s.job and s.job.source_key == source_key), None)
        if job is not None and view in job.views:
            return job.wait(view, files)
        now = self._reactor.seconds()
        try:
            waiter = self._queue.wait(source_key, files, view, client, now)
        except Unavailable as error:
            return fail(error)
        self._advance()
        return waiter

    def status(self) -> PicturesReport:
        """What the pool is doing now, and what it did since it was made."""
        return PicturesReport(
            workers=self._workers,
            busy=sum(slot.job is not None for slot in self._slots),
            waiting=len(self._queue),
            made=self._made,
            failed=self._failed,
        )

    def stop(self) -> Deferred[None]:
        """End every worker, whatever it does; fires when all are gone."""
        stopping: Deferred[None] = Deferred()
        self._stopping = stopping
        for call in (self._retry, self._gathering):
            if call is not None and call.active():
                call.cancel()
        error = Unavailable("The server is stopping.")
        self._queue.fail(error)
        for slot in list(self._slots):
            if slot.job is not None:
                slot.job.fail(error)
            self._kill(slot, "the daemon ends")
        if not self._slots:
            stopping.callback(None)
        return stopping

    # Which job is next

    @property
    def _is_broken(self) -> bool:
        return self._failed_starts >= BROKEN

    def _advance(self) -> None:
        """Give jobs to idle workers, and start another worker if one is missing."""
        while (slot := self._idle_slot()) and (job := self._queue.take(self._may_begin)):
            self._begin(slot, job)
        if self._idle_slot() is None and self._queue.next(self._may_begin):
            self._start_another()
        is_armed = self._gathering is not None and self._gathering.active()
        if not is_armed and self._stopping is None and self._queue.next(self._is_gathering):
            self._gathering = self._reactor.callLater(GATHERING, self._advance)

    def _idle_slot(self) -> _Slot | None:
        """The one that was used last: others may have been idle long enough to end."""
        return next((slot for slot in reversed(self._slots) if slot.is_idle), None)

    def _may_begin(self, job: ViewJob) -> bool:
        """One job of a source at a time: what is asked meanwhile is made in the next pass. Volumes
        leave a worker to others, if there are two.
        """
        jobs = [slot.job for slot in self._slots if slot.job is not None]
        if any(other.source_key == job.source_key for other in jobs) or self._is_gathering(job):
            return False
        volumes = sum(slot.job is not None and slot.is_volume for slot in self._slots)
        return not self._is_volume(job) or volumes < max(1, self._workers - 1)

    def _is_gathering(self, job: ViewJob) -> bool:
        return job.cuts and self._reactor.seconds() - job.since < GATHERING

    def _is_volume(self, job: ViewJob) -> bool:
        return job.cuts or job.source_key in self._volumes

    # Workers

    def _start_another(self) -> None:
        """One at a time: the next is started when this one is ready, if there is still work."""
        there = [slot for slot in self._slots if not slot.is_leaving]
        is_starting = any(not slot.is_ready for slot in there)
        # What was killed may be held by a disk that does not answer, and does not count for long.
        is_full = len(there) >= self._workers or len(self._slots) >= 4 * self._workers
        if not is_starting and not is_full and self._retry is None and self._stopping is None:
            self._start()

    def _start(self) -> None:
        self._retry = None
        slot = _Slot()
        try:
            slot.worker = WorkerProcess(self._reactor, _Listener(self, slot), self._command)
        except OSError as error:  # no descriptor or process is left
            self._start_failed(str(error))
            return
        self._slots.append(slot)
        slot.rearm(self._reactor.callLater(START_TIMEOUT, self._kill, slot, "it does not start"))

    def _start_failed(self, reason: str) -> None:
        self._failed_starts += 1
        delay = min(LAST_DELAY, FIRST_DELAY * 2 ** (self._failed_starts - 1))
        self._retry = self._reactor.callLater(delay, self._start)
        if self._is_broken:
            self._health_monitor.report(health.PICTURES, detail=reason, lasts=True)
            self._queue.fail(Unavailable("Pictures cannot be made now."))
        else:
            self.log.warn("A picture worker did not start: {reason}", reason=reason)

    def _kill(self, slot: _Slot, reason: str) -> None:
        slot.is_leaving = True
        slot.rearm(None)
        assert slot.worker is not None
        slot.worker.kill(reason)

    def _retire(self, slot: _Slot) -> None:
        """It has no job, and gets no other."""
        self._kill(slot, "")

    # A job

    def _begin(self, slot: _Slot, job: ViewJob) -> None:
        assert slot.worker is not None
        slot.job, slot.asked, slot.extras = job, frozenset(job.views), 0
        slot.is_volume = self._is_volume(job)
        self._slots.sort(key=lambda other: other is slot)
        self._allow_time(slot)
        files = job.files
        message = Job(job.views, [file.name for file in files], self._max_pixels)
        slot.worker.send(message, [file.fd for file in files])

    def _allow_time(self, slot: _Slot) -> None:
        job = slot.job
        factor = VOLUME_FACTOR if job and job.source_key in self._volumes else 1
        slot.rearm(self._reactor.callLater(self._timeout * factor, self._overdue, slot))

    def _overdue(self, slot: _Slot) -> None:
        """The answer does not wait for the worker's end: its disk may hold it up."""
        job, slot.job = slot.job, None
        assert job is not None
        self._log_failure("it took too long", job)
        self._failed += job.fail(ImgdError.of(422, "It takes too long."))
        self._kill(slot, "it took too long")
        self._advance()

    def heard(self, slot: _Slot, message: FromWorker, body: bytes) -> None:
        """A worker sent this."""
        match message:
            case Ready():
                self._ready(slot, message.lacks)
            case Answer() if slot.job is not None:
                self._answered(slot, slot.job, message, body)
            case Progress() if slot.job is not None and message.is_volume:
                self._is_a_volume(slot, slot.job)
            case Bug() if slot.job is not None:
                place = message.place[:200]
                self.log.error("A picture failed by an error in imgd: {place}", place=place)
            case Done() if slot.job is not None:
                self._done(slot, slot.job, message.memory)

    def _ready(self, slot: _Slot, lacks: str) -> None:
        slot.is_ready = True
        slot.rearm(self._reactor.callLater(IDLE, self._retire, slot))
        self._failed_starts = 0
        self._health_monitor.clear(health.PICTURES)
        if lacks and not self._told_what_lacks:
            self._told_what_lacks = True
            self.log.warn(
                "Pictures are made without {lacks}, which this platform does not have", lacks=lacks
            )
        self._advance()

    def _is_a_volume(self, slot: _Slot, job: ViewJob) -> None:
        slot.is_volume = True
        is_news = job.source_key not in self._volumes
        self._volumes[job.source_key] = None
        self._volumes.move_to_end(job.source_key)
        if len(self._volumes) > MAX_VOLUMES:
            self._volumes.popitem(last=False)
        if is_news:
            self._allow_time(slot)

    def _answered(self, slot: _Slot, job: ViewJob, answer: Answer, body: bytes) -> None:
        view = answer.view
        if view not in slot.asked and not self._may_be_extra(slot, answer):
            return
        result = _result(answer, body)
        is_first = view in slot.asked
        slot.asked -= {view}
        if is_first:
            slot.pictures += 1
            self._made += isinstance(result, Picture)
            self._failed += not isinstance(result, Picture)
            self._allow_time(slot)
        if not job.answer(view, result) and isinstance(result, Picture):
            self.on_extra(job.source_key, result)

    def _may_be_extra(self, slot: _Slot, answer: Answer) -> bool:
        """Slices of a volume of which slices were asked for, and not without end."""
        slot.extras += 1
        is_slice = answer.view.kind is ViewKind.SLICE and answer.status == 200
        return is_slice and slot.is_volume and slot.extras <= MAX_EXTRAS

    def _done(self, slot: _Slot, job: ViewJob, memory: int) -> None:
        self._failed += job.fail(_broken())
        slot.job = None
        if slot.pictures >= MAX_PICTURES or memory > MAX_MEMORY:
            self._retire(slot)
        else:
            slot.rearm(self._reactor.callLater(IDLE, self._retire, slot))
        self._advance()

    def ended(self, slot: _Slot, reason: str) -> None:
        """A worker is no more."""
        slot.rearm(None)
        self._slots.remove(slot)
        job, slot.job = slot.job, None
        if self._stopping is not None:
            if not self._slots:
                self._stopping.callback(None)
            return
        if job is not None:
            self._log_failure(reason, job)
            error = "It takes too much memory, or its data breaks its decoder."
            self._failed += job.fail(ImgdError.of(422, error))
        if not slot.is_ready:
            self._start_failed(reason)
        elif job is None and not slot.is_leaving:
            self.log.warn("An idle picture worker ended: {reason}", reason=reason)
        self._advance()

    def _log_failure(self, reason: str, job: ViewJob) -> None:
        names = [file.name for file in job.files] if job.views else ["(nobody waits any more)"]
        self.log.warn("A picture worker ended over {name}: {reason}", name=names[0], reason=reason)


class _Listener:
    """Tells the pool of which slot a worker speaks."""

    def __init__(self, pool: PicturePool, slot: _Slot) -> None:
        self._pool, self._slot = pool, slot

    def heard(self, _worker: WorkerProcess, message: FromWorker, body: bytes) -> None:
        self._pool.heard(self._slot, message, body)

    def ended(self, _worker: WorkerProcess, reason: str) -> None:
        self._pool.ended(self._slot, reason)


def _result(answer: Answer, body: bytes) -> Picture | ImgdError:
    """What a worker answered, if it is anything that one may answer."""
    if answer.status == 200 and answer.media_type in _MEDIA_TYPES:
        return Picture(answer.view, answer.media_type, body)
    if answer.status in _STATUSES:
        return ImgdError.of(answer.status, answer.detail[:300])
    return _broken()


def _broken() -> ImgdError:
    return ImgdError.of(415, "Not a picture that can be shown: its data is broken.")
