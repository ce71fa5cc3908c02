"""Whether what stands behind a URL is what was announced."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from imgd.client.errors import ClientError, Misbehaved, Refused, Unreachable
from imgd.client.line import Line
from imgd.client.retry import Patience, retry_after
from imgd.client.urls import MAX_REDIRECTS, REDIRECTS, apart, redirected
from imgd.client.wire import Answer
from imgd.core.messages import Image


def judge(answer: Answer, size: int, has_body: bool) -> None:
    """Raise a ClientError unless this is a whole file of ``size`` bytes, sent as it is."""
    encoding = answer.headers.get(b"content-encoding", b"identity").decode("latin-1")
    if encoding.lower() != "identity":
        raise Misbehaved(f"Sent with Content-Encoding {encoding}: these are not the file's bytes.")
    if answer.length is not None and answer.length != size:
        raise Misbehaved(f"Content-Length is {answer.length}, but {size} bytes were announced.")
    if has_body and answer.received > size:
        raise Misbehaved(f"The body goes on after the {size} bytes that were announced.")
    if has_body and answer.received != size:
        raise Misbehaved(f"The body has {answer.received} bytes, but {size} were announced.")
    if not has_body and answer.length is None:
        raise Misbehaved("The answer has no Content-Length.")


Outcome = Callable[[Image, ClientError | None], None]


class Checker:
    """Asks for images over one line. ``method`` is HEAD, or GET to count the bytes as well."""

    def __init__(self, line: Line, patience: Patience, method: bytes = b"HEAD") -> None:
        self._line = line
        self._patience = patience
        self._method = method

    async def check_all(self, images: Sequence[Image], outcome: Outcome) -> None:
        """Tell of each, in order, whether it can be had as announced, or why not.

        Runs over what needs no thought, and stops at what does.
        """
        done = 0
        while done < len(images):
            first: Answer | None = None
            problem: ClientError | None = None
            if self._method == b"HEAD":
                passed, first, problem = await self._run(images[done:], outcome)
                done += passed
            if done < len(images):
                if problem is None:
                    problem = await self._problem(images[done], first)
                outcome(images[done], problem)
                done += 1

    async def check(self, image: Image, first: Answer | None = None) -> None:
        """Return where the image can be had as announced; raise a ClientError where it cannot.

        ``first`` is the answer to a first try that has been made.
        """
        answers = [] if first is None else [first]
        await self._patience.insist(lambda: self._once(image, answers))

    async def _run(
        self, images: Sequence[Image], outcome: Outcome
    ) -> tuple[int, Answer | None, ClientError | None]:
        """How many were plainly good, and of the next its answer, or why there is none in time."""
        passed = 0

        def good() -> None:
            nonlocal passed
            outcome(images[passed], None)
            passed += 1

        try:
            answer = await self._line.run(images, good)
        except Unreachable:
            return passed, None, None  # which deserves another try
        except ClientError as error:
            return passed, None, error
        return passed, answer, None

    async def _problem(self, image: Image, first: Answer | None) -> ClientError | None:
        try:
            await self.check(image, first)
        except ClientError as error:
            return error
        return None

    async def _once(self, image: Image, answers: list[Answer]) -> None:
        url, cap = image.url, image.size
        for _ in range(MAX_REDIRECTS + 1):
            answer = answers.pop() if answers else await self._line.ask(self._method, url, cap)
            location = answer.headers.get(b"location")
            if answer.status == 200:
                return judge(answer, image.size, self._method == b"GET")
            if answer.status not in REDIRECTS or not location:
                raise self._refused(answer)
            url = redirected(url, location.decode("latin-1"))
        raise Misbehaved(f"More than {MAX_REDIRECTS} redirects: the server sends us in a circle.")

    def close(self) -> None:
        """Close the line."""
        self._line.close()

    def _refused(self, answer: Answer) -> ClientError:
        asked = answer.headers.get(b"retry-after", b"").decode("latin-1")
        wait = retry_after(asked, self._patience.clock.seconds())
        said = f"The server answers with status {answer.status}."
        if answer.status == 401:
            said += " Reading is private there: --signed makes URLs that need no token."
        return Refused(answer.status, said, wait)


class NoCheck:
    """Takes every image as announced."""

    async def check_all(self, images: Sequence[Image], outcome: Outcome) -> None:
        """Each is fine, if its URL is one."""
        for image in images:
            try:
                apart(image.url)
            except ClientError as error:
                outcome(image, error)
            else:
                outcome(image, None)

    def close(self) -> None:
        """Nothing to close."""
