"""A worker of the pool and the job that it has: what it may answer, and how long it may take."""

from __future__ import annotations

import signal
from collections import OrderedDict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Protocol

from twisted.internet.interfaces import IDelayedCall

from imgd.errors import ImgdError, Unavailable
from imgd.logs import Logger
from imgd.pictures.messages import Answer, Bug, Done, FromWorker, Job, Progress, Ready
from imgd.pictures.views import INDEXES, View, ViewKind
from imgd.pictures.waiting import Picture, ViewJob
from imgd.pictures.worker_process import WorkerProcess

MAX_PICTURES: Final = 500  # of one worker: libraries leak
MAX_MEMORY: Final = 300_000_000  # bytes that a worker may hold between jobs
MAX_EXTRAS: Final = 256  # of one job: views that nobody asked for
MAX_BYTES: Final = 1 << 28  # of all pictures of one job
MAX_VOLUMES: Final = 1024  # sources that are known to be volumes
MAX_DETAIL: Final = 300  # characters
VOLUME_FACTOR: Final = 6  # how much longer a volume may take
IDLE: Final = 600.0  # seconds after which a worker that has nothing to do ends
START_TIMEOUT: Final = 60.0  # seconds
_MEDIA_TYPES: Final = frozenset({"image/jpeg", "image/png", "application/json"})
_STATUSES: Final = frozenset({400, 413, 415, 422})
_BROKEN: Final = "Not a picture that can be shown: its data is broken."
_LATE: Final = "It takes too long."
_CRASHED: Final = "It takes too much memory, or its data breaks its decoder."
KILLED: Final = "The process that made it was killed: ask again."
# By the system, which needed memory, or by a person: no fault of the picture, so that none is kept.
_BY_OTHERS: Final = f"signal {int(signal.SIGKILL)}" if hasattr(signal, "SIGKILL") else ""


class KnownVolumes:
    """The sources that were volumes when they were last decoded, by source_key."""

    def __init__(self) -> None:
        self._keys: OrderedDict[bytes, None] = OrderedDict()

    def __contains__(self, key: bytes) -> bool:
        return key in self._keys

    def add(self, key: bytes) -> None:
        self._keys[key] = None
        self._keys.move_to_end(key)
        if len(self._keys) > MAX_VOLUMES:
            self._keys.popitem(last=False)


@dataclass
class PoolFacts:
    """What all workers of a pool share. ``timeout`` is in seconds for each picture."""

    command: Sequence[str]
    max_pixels: int
    timeout: float
    volumes: KnownVolumes = field(default_factory=KnownVolumes)
    made: int = 0
    failed: int = 0


class SlotOwner(Protocol):
    """The pool, as its workers know it."""

    def ready(self, lacks: str) -> None:
        """A worker can be given a job; its platform lacks this of a sandbox."""

    def free(self) -> None:
        """A job has ended: there is room for another."""

    def gone(self, slot: WorkerSlot, reason: str) -> None:
        """A worker is no more."""

    def unasked(self, source_key: bytes, picture: Picture) -> None:
        """A picture was made, and nobody waits for it."""


class WorkerSlot:
    """A worker process, which is started at once; OSError if none can be."""

    log = Logger()

    def __init__(self, reactor: Any, pool: SlotOwner, facts: PoolFacts) -> None:
        self._reactor, self._pool, self._facts = reactor, pool, facts
        self.job: ViewJob | None = None
        self.is_ready = False
        self.is_leaving = False  # it was killed
        self.is_volume = False  # its job is about one
        self._asked: set[View] = set()  # and not answered yet
        self._extras = self._pictures = self._bytes = 0
        self._has_bug = False  # its decoder failed by an error in imgd
        self._name = ""  # of the file that the job is about, for the log
        self._call: IDelayedCall | None = None
        self._worker = WorkerProcess(reactor, self, facts.command)
        self._after(START_TIMEOUT, self.kill, "it does not start")

    @property
    def is_idle(self) -> bool:
        return self.is_ready and self.job is None and not self.is_leaving

    def begin(self, job: ViewJob, *, is_volume: bool) -> bool:
        """Let it do a job; it must be idle. False if it is no more: the job was not begun."""
        self.job, self.is_volume = job, is_volume
        self._asked, self._extras, self._bytes = set(job.views), 0, 0
        self._has_bug = False
        self._allow_time(job)
        names = [_as_text(file.name) for file in job.files]
        self._name = _in_log(names, job.views)
        message = Job(list(job.views), names, self._facts.max_pixels)
        if not self._worker.send(message, [file.fd for file in job.files]):
            self.is_leaving, self.job = True, None
            self._after(None)
        return self.job is not None

    def kill(self, reason: str = "") -> None:
        """End it, whatever it does."""
        self.is_leaving = True
        self._after(None)
        self._worker.kill(reason)

    # What the worker tells

    def heard(self, message: FromWorker, body: bytes) -> None:
        if isinstance(message, Ready) and not self.is_ready:
            self.is_ready = True
            self._after(IDLE, self.kill)
            self._pool.ready(message.lacks[:MAX_DETAIL])
        elif self.job is None:
            if not self.is_leaving:
                self.log.warn("A picture worker ended: it spoke unasked")
            self.kill()
        else:
            self._heard_of(self.job, message, body)

    def _heard_of(self, job: ViewJob, message: FromWorker, body: bytes) -> None:
        match message:
            case Answer():
                self._answered(job, message, body)
            case Progress(is_volume=True):
                self._is_a_volume(job)
            case Bug():
                self._log_bug(message.place[:MAX_DETAIL])
            case Done():
                self._done(job, message.memory)

    def _log_bug(self, place: str) -> None:
        if not self._has_bug:
            self._has_bug = True
            self.log.error("A picture failed by an error in imgd: {place}", place=place)

    def ended(self, reason: str) -> None:
        self._after(None)
        job, self.job = self.job, None
        if job is not None:
            self.is_leaving = True
            is_killed = reason == _BY_OTHERS
            error = Unavailable(KILLED) if is_killed else ImgdError.of(422, _CRASHED)
            self._give_up(job, error, reason)
        self._pool.gone(self, reason)

    # The job

    def _after(self, delay: float | None, act: Any = None, *args: Any) -> None:
        """One call is armed at most: a deadline, or the end of idleness."""
        if self._call is not None and self._call.active():
            self._call.cancel()
        self._call = None if delay is None else self._reactor.callLater(delay, act, *args)

    def _allow_time(self, job: ViewJob) -> None:
        factor = VOLUME_FACTOR if job.source_key in self._facts.volumes else 1
        self._after(self._facts.timeout * factor, self._overdue, job)

    def _overdue(self, job: ViewJob) -> None:
        """The answer does not wait for the worker's end: its disk may hold it up."""
        reason = "it took too long"
        self.job = None
        self.kill(reason)
        self._give_up(job, ImgdError.of(422, _LATE), reason)
        self._pool.free()

    def _give_up(self, job: ViewJob, error: ImgdError, reason: str) -> None:
        name = self._name
        self.log.warn("A picture worker ended over {name}: {reason}", name=name, reason=reason)
        self._facts.failed += job.fail(error)

    def _is_a_volume(self, job: ViewJob) -> None:
        is_news = job.source_key not in self._facts.volumes
        self._facts.volumes.add(job.source_key)
        if not self.is_volume or is_news:
            self.is_volume = True
            self._allow_time(job)

    def _answered(self, job: ViewJob, answer: Answer, body: bytes) -> None:
        self._bytes += len(body)
        if self._bytes > MAX_BYTES:
            self.kill("it sent too much")
            return
        result = _result(answer, body)
        is_picture = isinstance(result, Picture)
        if answer.view in self._asked:
            self._asked.remove(answer.view)
            self._pictures += 1
            self._facts.made += is_picture
            self._facts.failed += not is_picture
            self._allow_time(job)
        elif not self._may_be_extra(answer):
            return
        if not job.answer(answer.view, result) and isinstance(result, Picture):
            self._pool.unasked(job.source_key, result)

    def _may_be_extra(self, answer: Answer) -> bool:
        """Slices of a volume, and not without end."""
        is_slice = answer.view.kind is ViewKind.SLICE and answer.status == 200
        self._extras += is_slice
        return is_slice and self.is_volume and self._extras <= MAX_EXTRAS

    def _done(self, job: ViewJob, memory: int) -> None:
        self._facts.failed += job.fail(ImgdError.of(415, _BROKEN))  # what was not answered
        self.job = None
        if self._pictures >= MAX_PICTURES or memory > MAX_MEMORY:
            self.kill()
        else:
            self._after(IDLE, self.kill)
        self._pool.free()


def _in_log(names: Sequence[str], views: Iterable[View]) -> str:
    """What a job is about: a file, or for the index many."""
    is_of_many = len(names) > 1 and any(view.kind in INDEXES for view in views)
    return f"{names[0]} or one of {len(names) - 1} other files" if is_of_many else names[0]


def _as_text(name: str) -> str:
    """A name without bytes that are no UTF-8 (PEP 383), which JSON cannot hold."""
    return name.encode("utf-8", "replace").decode("utf-8")


def _result(answer: Answer, body: bytes) -> Picture | ImgdError:
    """What a worker answered, if it is anything that one may answer."""
    if answer.status == 200 and answer.media_type in _MEDIA_TYPES:
        return Picture(answer.view, answer.media_type, body)
    if answer.status in _STATUSES:
        return ImgdError.of(answer.status, answer.detail[:MAX_DETAIL])
    return ImgdError.of(415, _BROKEN)
