"""Jobs that wait for a worker: one for each file, of all who ask, with turns for each client."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Sequence
from typing import Final, NamedTuple

from twisted.internet.defer import Deferred

from imgd.core.client_counts import client_of
from imgd.errors import ImgdError, Unavailable
from imgd.files.disk import OpenFile
from imgd.pictures.views import View, ViewKind

Files = Sequence[OpenFile]

SLICES: Final = frozenset((ViewKind.SLICE, ViewKind.MOSAIC))
MAX_VIEWS: Final = 256  # of one job, which is sent to a worker in one piece
CANNOT: Final = "Pictures cannot be made now."
BUSY: Final = "Too many pictures are waiting. Try again in a moment."


class Picture(NamedTuple):
    """A view that was made."""

    view: View
    media_type: str
    body: bytes


class ViewJob:
    """Views of one version of a file, each with all who wait for it and the files that they hold
    open while they do. ``left`` is called when nobody waits for a view any more.
    """

    def __init__(
        self,
        source_key: bytes,
        client: str,
        since: float,
        left: Callable[[ViewJob], None] = lambda job: None,
    ) -> None:
        self.source_key, self.client, self.since, self.left = source_key, client, since, left
        self.was_put_back = False  # it could not be begun
        self._waiters: dict[View, dict[Deferred[Picture], Files]] = {}

    @property
    def views(self) -> Collection[View]:
        """The views that somebody waits for."""
        return self._waiters.keys()

    @property
    def files(self) -> Files:
        """The files of any who waits: all of them opened the same version."""
        return next(files for waiters in self._waiters.values() for files in waiters.values())

    @property
    def cuts(self) -> bool:
        """Whether it is about slices, of which several are asked for at once as a rule."""
        return any(view.kind in SLICES for view in self._waiters)

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
        return sum(self.answer(view, error) for view in list(self.views))

    def _leave(self, view: View, waiter: Deferred[Picture]) -> None:
        waiters = self._waiters.get(view, {})
        waiters.pop(waiter, None)
        if view in self._waiters and not waiters:
            del self._waiters[view]
            self.left(self)


class JobQueue:
    """At most ``most`` views wait. A client that has most of them makes room for others."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._jobs: dict[bytes, ViewJob] = {}
        # The same by client: whose turn was longest ago first, and of one, who came first.
        self._turns: dict[str, dict[bytes, ViewJob]] = {}
        self._views: Counter[str] = Counter()  # that wait, by client

    def __len__(self) -> int:
        return self._views.total()

    def wait(
        self, source_key: bytes, files: Files, view: View, client: str, now: float
    ) -> Deferred[Picture]:
        """The view, once it was made; Unavailable if there is no room."""
        client, job = client_of(client), self._jobs.get(source_key)
        is_new = job is None or view not in job.views
        if is_new and job is not None and len(job.views) >= MAX_VIEWS:
            raise Unavailable(BUSY)
        if is_new and len(self) >= self._most:
            self._make_room(client)
            job = self._jobs.get(source_key)
        if job is None:
            job = self._jobs[source_key] = ViewJob(source_key, client, now, self._left)
            self._turns.setdefault(client, {})[source_key] = job
        self._views[job.client] += is_new
        return job.wait(view, files)

    def take(self, may_begin: Callable[[ViewJob], bool]) -> ViewJob | None:
        """The next job that may begin, of the client whose turn it is; it waits no more."""
        job = self.next(may_begin)
        if job is not None:
            self._remove(job)
            if job.client in self._turns:
                self._turns[job.client] = self._turns.pop(job.client)
        return job

    def put_back(self, job: ViewJob) -> None:
        """Let a job that was taken just now wait again, first of its client; once for each job."""
        if job.was_put_back:
            job.fail(Unavailable(CANNOT))
            return
        job.was_put_back, job.left = True, self._left
        self._jobs[job.source_key] = job
        self._turns[job.client] = {job.source_key: job, **self._turns.get(job.client, {})}
        self._views[job.client] += len(job.views)

    def next(self, may_begin: Callable[[ViewJob], bool]) -> ViewJob | None:
        """What ``take`` would take."""
        jobs = (job for jobs in self._turns.values() for job in jobs.values())
        return next(filter(may_begin, jobs), None)

    def fail(self, error: ImgdError) -> None:
        """Tell all who wait."""
        while self._jobs:  # who is told may leave other jobs
            job = next(iter(self._jobs.values()))
            self._remove(job)
            job.fail(error)

    def _make_room(self, client: str) -> None:
        """End the newest job of the client that has most, if it has more than this one."""
        [(largest, count)] = self._views.most_common(1)
        if count <= self._views[client] + 1:
            raise Unavailable(BUSY)
        newest = next(reversed(self._turns[largest].values()))
        self._remove(newest)
        newest.fail(Unavailable(BUSY))

    def _left(self, job: ViewJob) -> None:
        """Nobody waits for a view any more; if it was the last of its job, the job is dropped."""
        self._views[job.client] -= 1
        if not job.views:
            self._remove(job)

    def _remove(self, job: ViewJob) -> None:
        job.left = lambda job: None
        del self._jobs[job.source_key]
        jobs = self._turns[job.client]
        del jobs[job.source_key]
        self._views[job.client] -= len(job.views)
        if not jobs:
            del self._turns[job.client], self._views[job.client]
