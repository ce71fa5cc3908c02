"""Jobs that wait for a worker: one for each file, of all who ask, with turns for each client."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

from twisted.internet.defer import Deferred

from imgd.core.client_counts import client_of
from imgd.errors import ImgdError, Unavailable
from imgd.files.disk import OpenFile
from imgd.pictures.views import View, ViewKind

Files = Sequence[OpenFile]

BUSY = "Too many pictures are waiting. Try again in a moment."


class Picture(NamedTuple):
    """A view that was made."""

    view: View
    media_type: str
    body: bytes


class ViewJob:
    """Views of one version of a file, each with all who wait for it and the files that they hold
    open while they do.
    """

    def __init__(self, source_key: bytes, client: str, since: float) -> None:
        self.source_key, self.client, self.since = source_key, client, since
        self._waiters: dict[View, dict[Deferred[Picture], Files]] = {}

    @property
    def views(self) -> list[View]:
        """The views that somebody waits for."""
        return list(self._waiters)

    @property
    def files(self) -> Files:
        """The files of any who waits: all of them opened the same version."""
        return next(files for waiters in self._waiters.values() for files in waiters.values())

    @property
    def cuts(self) -> bool:
        """Whether it is about slices, of which several are asked for at once as a rule."""
        return any(view.kind in (ViewKind.SLICE, ViewKind.MOSAIC) for view in self._waiters)

    def wait(self, view: View, files: Files) -> Deferred[Picture]:
        """The view, once it was made. Cancelling it leaves the job."""
        waiter: Deferred[Picture] = Deferred(lambda waiter: self._leave(view, waiter))
        self._waiters.setdefault(view, {})[waiter] = files
        return waiter

    def answer(self, view: View, result: Picture | ImgdError) -> bool:
        """Tell all who wait for a view. Returns whether anybody did."""
        waiters = self._waiters.pop(view, {})
        for waiter in waiters:
            if waiter.called:  # cancelled by another of them
                continue
            if isinstance(result, Picture):
                waiter.callback(result)
            else:
                waiter.errback(type(result).of(result.status, result.detail))
        return bool(waiters)

    def fail(self, error: ImgdError) -> int:
        """Tell all who still wait. Returns for how many views that is."""
        return sum(self.answer(view, error) for view in self.views)

    def _leave(self, view: View, waiter: Deferred[Picture]) -> None:
        waiters = self._waiters.get(view, {})
        waiters.pop(waiter, None)
        if not waiters:
            self._waiters.pop(view, None)


class JobQueue:
    """At most ``most`` views wait. A client that has most of them makes room for others."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._jobs: dict[bytes, ViewJob] = {}  # by source_key, in the order in which they came
        self._turns: dict[str, None] = {}  # clients, whose turn was longest ago first

    def __len__(self) -> int:
        return sum(len(job.views) for job in self._jobs.values())

    def wait(
        self, source_key: bytes, files: Files, view: View, client: str, now: float
    ) -> Deferred[Picture]:
        """The view, once it was made; Unavailable if there is no room."""
        client = client_of(client)
        job = self._jobs.get(source_key)
        is_new = job is None or view not in job.views
        if is_new and len(self) >= self._most:
            self._make_room(client)
            job = self._jobs.get(source_key)
        if job is None or not job.views:
            self._jobs.pop(source_key, None)
            job = self._jobs[source_key] = ViewJob(source_key, client, now)
            self._turns.setdefault(client)
        return job.wait(view, files)

    def take(self, may_begin: Callable[[ViewJob], bool]) -> ViewJob | None:
        """The next job that may begin, of the client whose turn it is; it waits no more."""
        job = self.next(may_begin)
        if job is not None:
            del self._jobs[job.source_key]
            self._turns.pop(job.client, None)
            if any(other.client == job.client for other in self._jobs.values()):
                self._turns[job.client] = None
        return job

    def next(self, may_begin: Callable[[ViewJob], bool]) -> ViewJob | None:
        """What ``take`` would take."""
        self._drop_left()
        ready = [job for job in self._jobs.values() if may_begin(job)]
        turns = {client: turn for turn, client in enumerate(self._turns)}
        return min(ready, key=lambda job: turns[job.client], default=None)

    def fail(self, error: ImgdError) -> None:
        """Tell all who wait."""
        jobs, self._jobs, self._turns = self._jobs, {}, {}
        for job in jobs.values():
            job.fail(error)

    def _make_room(self, client: str) -> None:
        """End the newest job of the client that has most, if it has more than this one."""
        self._drop_left()
        counts = Counter[str]()
        for job in self._jobs.values():
            counts[job.client] += len(job.views)
        if len(self) < self._most:
            return
        [(largest, count)] = counts.most_common(1)
        if count <= counts[client] + 1:
            raise Unavailable(BUSY)
        newest = next(job for job in self._newest_first() if job.client == largest)
        newest.fail(Unavailable(BUSY))
        self._drop_left()

    def _newest_first(self) -> Iterator[ViewJob]:
        return reversed(self._jobs.values())

    def _drop_left(self) -> None:
        """Forget jobs that nobody waits for any more."""
        self._jobs = {key: job for key, job in self._jobs.items() if job.views}
        clients = {job.client for job in self._jobs.values()}
        self._turns = {client: None for client in self._turns if client in clients}
