"""Answers to ``?thumb``, ``?slice``, ``?mosaic`` and ``?info`` of a file."""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from imgd.core import media
from imgd.core.disposition import attachment, inline
from imgd.core.plan import Representation, plan, unchanged
from imgd.files.disk import Root
from imgd.pictures import views
from imgd.pictures.cache import PictureFile
from imgd.pictures.maker import Pictures
from imgd.pictures.picture_source import PictureSource
from imgd.pictures.views import View, ViewKind
from imgd.web.file_cache import Place
from imgd.web.request import Request
from imgd.web.send import send

_SUFFIXES: Final = {"image/jpeg": ".jpg", "image/png": ".png", "application/json": ".json"}


def view_of(request: Request) -> View | None:
    """The view that the query of a request asks for; BadRequest if it does so wrongly."""
    _, question, query = request.uri.partition(b"?")
    return views.parse(query) if question else None


async def answer(
    request: Request, pictures: Pictures, root: Root, names: tuple[str, ...], view: View
) -> None:
    """Send a picture of the file of these names, or raise ImgdError."""
    source = await pictures.find(root, names, request.peer)
    await answer_of(request, pictures, source, view, (root, names))


async def answer_of(
    request: Request,
    pictures: Pictures,
    source: PictureSource,
    view: View,
    place: tuple[Root, tuple[str, ...]] | None = None,
) -> None:
    """Send a picture of what was found, which is closed here, or raise ImgdError.

    ``place`` leads to the file if the URL says all that the answer depends on.
    """
    try:
        if _send_unchanged(request, source, view):
            return
        picture = await pictures.picture(source, view, request.peer, request.require_client)
    finally:
        source.close()
    _send(request, place, source, view, picture)


def _send_unchanged(request: Request, source: PictureSource, view: View) -> bool:
    """Answer 304 to a client that has this picture, so that nobody need make it.

    Only if it names the very tag: ``*`` asks whether there is one.
    """
    conditions = request.conditions()
    if source.etag(view) not in conditions.get(b"if-none-match", b""):
        return False
    answer = plan(_represent(request, source, view, "", 0), conditions, request.now)
    if answer.status == 304:
        send(request, answer, source.file)
    return answer.status == 304


def _represent(
    request: Request, source: PictureSource, view: View, media_type: str, size: int
) -> Representation:
    """The picture as HTTP sees it: its age is that of its file."""
    facts = source.file.facts._replace(size=size)
    max_age = request.site.max_age
    return Representation.of("", facts, request.now, max_age, media_type, source.etag(view))


def _send(
    request: Request,
    place: tuple[Root, tuple[str, ...]] | None,
    source: PictureSource,
    view: View,
    picture: PictureFile,
) -> None:
    kind = picture.media_type
    representation = _represent(request, source, view, kind, picture.facts.size)
    name = file_name(source.file.name, view, kind)
    header = attachment(name) if request.has_flag(b"download") else inline(name)
    named = replace(representation, headers=(*representation.headers, header))
    file_cache = request.site.file_cache
    if place and file_cache is not None and not request.is_private and len(source.files) == 1:
        kept = Place(request.route.collection or None, *place, source.file.version)
        file_cache.keep_picture(request.uri, kept, named, picture.body, request.now)
    answer = plan(named, request.conditions(), request.now)
    send(request, unchanged(named) if answer.status == 304 else answer, picture)


def file_name(source: str, view: View, media_type: str) -> str:
    """What a picture is called if it is saved: ``scan-axial-150.png`` of ``scan.nii.gz``."""
    stem = source[:-3] if source.lower().endswith(".gz") else source
    last = media.suffix(stem)
    stem = stem[: -len(last)] if last in media.TYPES else stem
    what = view.kind.value
    if view.kind is ViewKind.SLICE:
        what = f"{view.plane}-{'middle' if view.index is None else view.index}"
    return f"{stem}-{what}{_SUFFIXES.get(media_type, '')}"
