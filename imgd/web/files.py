"""Files and folders of one root: static.File, with resolution, rendering and bodies replaced.

twisted.web's own (26.10) opens a FIFO and waits, serves ``x.nii.gz`` as HTML with a
Content-Encoding, reads to the end of the file instead of Content-Length, and knows no ETag. Used of
it are its place in the resource tree and its path.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Any

from twisted.web import static

from imgd.core import paths
from imgd.core.disposition import attachment
from imgd.core.plan import Representation, plan
from imgd.errors import BadRequest, NotFound
from imgd.files import disk
from imgd.files.disk import NotAnImage, OpenFile, Root, Undecided
from imgd.host.blocking import RunBlocking
from imgd.pictures.maker import Pictures
from imgd.pictures.views import MAY_ASK, View
from imgd.web import pictures
from imgd.web.endpoint import Endpoint, redirect
from imgd.web.folder_listings import FolderListings
from imgd.web.request import Request
from imgd.web.send import send


class Files(Endpoint, static.File):  # type: ignore[misc]  # both have `children`
    """The files and folders of ``root``, below the request's ``route.base``.

    ``ask`` runs a quick question about a file on a thread. ``maker`` makes pictures of files.
    ``send_instead`` is called for a file
    that is missing: whether it answered.
    """

    def __init__(
        self,
        root: Root,
        folders: FolderListings,
        ask: RunBlocking,
        maker: Pictures,
        send_instead: Callable[[Request], bool] = lambda _request: False,
    ) -> None:
        static.File.__init__(self, root.path)
        self._root = root
        self._folders = folders
        self._ask = ask
        self._maker = maker
        self._send_instead = send_instead

    def answer(self, request: Request) -> Coroutine[Any, Any, None] | None:
        """A file, a folder's listing, or a redirect to the folder; else NotFound."""
        base, below = request.route.base, request.route.below
        if below is None:  # the base without its last slash
            redirect(request, base.rsplit("/", 2)[1] + "/")
            return None
        url_path = paths.parse(b"/" + below)
        if url_path is None:
            raise NotFound
        if url_path.is_folder:  # which is asked for on a thread: its disk may hang
            return self._folders.listing(request, self._root, base, url_path.names)
        may_ask = MAY_ASK.search(request.uri)
        if may_ask and (view := pictures.view_of(request)) is not None:
            return self._send_picture(request, url_path.names, view)
        return self._send_or_redirect(request, url_path.names)

    def _send_or_redirect(
        self, request: Request, names: tuple[str, ...]
    ) -> Coroutine[Any, Any, None] | None:
        try:
            if self._root.serves(names[-1]) is False:
                raise _not_an_image(names)
            self._send(request, names, disk.open_file(self._root, names, may_look=False))
        except Undecided:
            return self._look_and_send(request, names)
        except NotAnImage:
            raise _not_an_image(names) from None
        except (NotFound, BadRequest):
            if not disk.is_folder(self._root, names):
                if self._send_instead(request):
                    return None
                raise
            # Relative, so that it holds behind any tunnel; encoded, so that no name is a scheme.
            redirect(request, paths.encode(names[-1]) + "/")
        return None

    async def _look_and_send(self, request: Request, names: tuple[str, ...]) -> None:
        """Send a file that must be read for what it is, which its disk may take any time for."""
        path = self._root.path
        try:
            file = await self._ask(path, disk.open_file, self._root, names, key=(path, names))
        except NotAnImage:
            raise _not_an_image(names) from None
        self._send(request, names, file)

    async def _send_picture(self, request: Request, names: tuple[str, ...], view: View) -> None:
        if self._root.serves(names[-1]) is False:
            raise _not_an_image(names)
        try:
            await pictures.answer(request, self._maker, self._root, names, view)
        except NotAnImage:
            raise _not_an_image(names) from None
        except NotFound:
            path = self._root.path
            if not await self._ask(path, disk.is_folder, self._root, names, key=(path, names)):
                raise
            redirect(request, paths.encode(names[-1]) + "/")

    def _send(self, request: Request, names: tuple[str, ...], file: OpenFile) -> None:
        representation = Representation.of(
            file.name, file.facts, request.now, request.site.max_age, media_type=file.media_type
        )
        if request.has_flag(b"download"):
            request.setHeader(*attachment(names[-1]))
        send(request, plan(representation, request.conditions(), request.now), file)


def _not_an_image(names: tuple[str, ...]) -> BadRequest:
    return BadRequest(f"Not an image: {paths.display(names[-1])}")
