"""``/-/view/PATH``: the page on which a browser looks at a picture, a volume, DICOM or a folder."""

from __future__ import annotations

from typing import Final

from imgd.collections.manager import CollectionManager
from imgd.core import dicomweb_paths, media, paths, routes
from imgd.core.catalog import CURRENT
from imgd.core.routes import Route, RouteKind
from imgd.errors import ImgdError, NotFound
from imgd.files import disk
from imgd.files.disk import Root
from imgd.pictures.maker import Pictures
from imgd.web import pages
from imgd.web.endpoint import HTML, Endpoint, begin_page, redirect, respond
from imgd.web.niivue import NiiVue
from imgd.web.page_parts import Breadcrumb, root_name
from imgd.web.request import Request

_POLICY: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src {}; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'; "
    "require-trusted-types-for 'script'"
)
CSP: Final = _POLICY.format("'self'")
# NiiVue has its font as a data: URL.
CSP_3D: Final = _POLICY.format("'self' data:")
# Headers whose data is another file, which NiiVue is not told of.
_DETACHED: Final = (".hdr", ".img", ".mhd", ".nhdr", ".raw", ".zraw", ".hdr.gz", ".img.gz")


class Viewer(Endpoint):
    """The page for what may be read at PATH; its script asks for the pictures.

    With ``niivue``, volumes have a second page, ``?3d``.
    """

    def __init__(
        self,
        documents: Root,
        manager: CollectionManager,
        pictures: Pictures,
        niivue: NiiVue | None,
    ) -> None:
        super().__init__()
        self._pictures = pictures
        self._documents = documents
        self._manager = manager
        self._niivue = niivue

    async def answer(self, request: Request) -> None:
        """The page, or a redirect to that of a folder; NotFound if nothing may be read there, and
        501 if no pictures are made here.
        """
        shown = routes.route(b"/" + (request.route.below or b""))
        if shown.kind is RouteKind.DICOM:
            self._answer_series(request, shown)
            return
        if shown.below is None and shown.base:  # a collection without its last slash
            redirect(request, shown.base.rsplit("/", 2)[1] + "/")
            return
        url_path = paths.parse(b"/" + (shown.below or b"")) if shown.base else None
        if url_path is None:
            raise NotFound
        root, names = self._root(shown), url_path.names
        key = (root.path, names)
        if url_path.is_folder:
            if not await self._manager.ask(root.path, disk.is_folder, root, names, key=key):
                raise NotFound
        elif await self._manager.ask(root.path, _is_folder_or_file, root, names, key=key):
            redirect(request, paths.encode(names[-1]) + "/")
            return
        self._prepare()
        self._send_file(request, shown.base, names, is_folder=url_path.is_folder)

    def _prepare(self) -> None:
        if not self._pictures.are_offered:
            raise ImgdError.of(501, self._pictures.why_off)
        self._pictures.prepare()

    def _answer_series(self, request: Request, shown: Route) -> None:
        """The page of ``/collections/NAME/dicom/SERIES.nii``; its script asks for the order of the
        files. Whether there is such a series, it learns then.
        """
        uid, suffix, rest = paths.decode(shown.below or b"").rpartition(".nii")
        if not suffix or rest or not dicomweb_paths.UID.fullmatch(uid):
            raise NotFound
        name = self._manager.find(shown.collection).collection.name
        self._prepare()
        top = _top(request)
        folder = top + routes.dicom_path(name)[1:]
        trail = [Breadcrumb("imgd", top), Breadcrumb(f"DICOM of {name}", folder)]
        self._send_page(
            request,
            trail=[*trail, Breadcrumb(uid, f"{folder}{uid}.nii")],
            heading=uid,
            file=f"{folder}{uid}.nii",
            folder=f"{top}{routes.collection_path(name)[1:]}/files/",
            hint="series",
            has_3d=self._niivue is not None,
        )

    def _root(self, shown: Route) -> Root:
        match shown.kind:
            case RouteKind.STATUS | RouteKind.DOCUMENTS:
                return self._documents
            case RouteKind.CURRENT_FILES if collection := self._manager.get(CURRENT):
                return collection.root
            case RouteKind.COLLECTION_FILES:
                return self._manager.find(shown.collection).root
        raise NotFound

    def _send_file(
        self, request: Request, base: str, names: tuple[str, ...], *, is_folder: bool
    ) -> None:
        top = _top(request)
        self._send_page(
            request,
            trail=_trail(base, names, top),
            heading=names[-1] if names else root_name(base),
            file=top + base[1:] + paths.encode(*names) + "/" * bool(is_folder and names),
            folder=top + base[1:] + "".join(f"{paths.encode(name)}/" for name in names[:-1]),
            name=paths.encode(names[-1]) if names else "",
            has_folder=request.covers_below and not is_folder,
            hint=_hint(names, is_folder=is_folder),
            has_3d=self._niivue is not None and not is_folder and _is_whole_volume(names[-1]),
        )

    def _send_page(self, request: Request, *, has_3d: bool, **values: object) -> None:
        is_3d = request.has_flag(b"3d")
        if is_3d and not has_3d:
            raise NotFound
        body = pages.render(
            "volume3d.html" if is_3d else "viewer.html",
            **{"top": _top(request), "name": "", "has_folder": False, **values},
            has_3d=has_3d,
            niivue=self._niivue.edition if self._niivue else "",
        )
        begin_page(request)
        request.setHeader(b"Content-Security-Policy", (CSP_3D if is_3d else CSP).encode("ascii"))
        respond(request, body, HTML)


def _top(request: Request) -> str:
    return "../" * (request.path.count(b"/") - 1)


def _is_folder_or_file(root: Root, names: tuple[str, ...]) -> bool:
    """Whether it is a folder, which is asked for without its slash; NotFound if it is neither."""
    try:
        disk.open_file(root, names).close()
    except NotFound:
        if not disk.is_folder(root, names):
            raise
        return True
    return False


def _trail(base: str, names: tuple[str, ...], top: str) -> list[Breadcrumb]:
    """The listings on the way to what is shown, which is the last."""
    trail = [Breadcrumb("imgd", top)]
    if base != "/":
        trail.append(Breadcrumb(root_name(base), top + base[1:]))
    for depth, name in enumerate(names, 1):
        folder = "".join(f"{paths.encode(folder)}/" for folder in names[:depth])
        trail.append(Breadcrumb(name, top + base[1:] + folder))
    return trail


def _hint(names: tuple[str, ...], *, is_folder: bool) -> str:
    """What it is by its name, so that the script can ask for the first pictures at once; "" if the
    name does not say.
    """
    if is_folder:
        return "folder"
    media_type = media.media_type(names[-1])
    if media_type == media.DICOM:
        return "dicom"
    if media_type.startswith("image/"):
        return "picture"
    return "volume" if media.is_image(names[-1]) else ""


def _is_whole_volume(name: str) -> bool:
    """Whether NiiVue may open a file of this name by itself."""
    return _hint((name,), is_folder=False) == "volume" and not name.lower().endswith(_DETACHED)
