"""What pictures are made of: a file, and the other half of a volume that is in two."""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass
from typing import Annotated, Final

import msgspec

from imgd.core import conditional, media, paths
from imgd.errors import NotFound, UnsupportedMediaType
from imgd.files import disk, real_path, versions
from imgd.files.disk import OpenFile, Root
from imgd.host import os_errors
from imgd.pictures.views import View

_HEADERS: Final = (".hdr", ".mhd", ".nhdr")
_FEW: Final = msgspec.Meta(max_length=4)
_real_path_of: Final = real_path.choose()


class Companions(msgspec.Struct):
    """The worker's answer to ``ViewKind.COMPANION``: names in the same folder, of all the files
    that hold the voxels, or of headers, one of which is needed.
    """

    names: Annotated[list[Annotated[str, msgspec.Meta(max_length=255)]], _FEW]
    are_headers: bool = False

    def alternatives(self) -> list[list[str]]:
        """The files that are needed: of each, the names that it may have."""
        return [self.names] if self.are_headers and self.names else [[name] for name in self.names]

    @classmethod
    def parse(cls, body: bytes) -> Companions:
        try:
            return msgspec.json.decode(body, type=cls)
        except (msgspec.DecodeError, UnicodeDecodeError):
            raise UnsupportedMediaType(
                "Not a picture that can be shown: its header is broken."
            ) from None


def half_missing(name: str) -> UnsupportedMediaType:
    """The error about a volume whose other half is not there."""
    what = "header" if media.suffix(name.removesuffix(".gz")) in _HEADERS else "data"
    return UnsupportedMediaType(
        f"Not a picture that can be shown: its {what}, {paths.display(name)}, is not here."
    )


class LocatedFile(OpenFile):
    """A file to make pictures of, where it really is, and its version."""

    __slots__ = ("real", "version")
    real: str
    version: versions.FileVersion

    @classmethod
    def open(cls, root: Root, names: tuple[str, ...]) -> LocatedFile:
        """The file of these names as ``disk.open_file`` gives it, or its errors. May block."""
        opened = disk.open_file(root, names)
        try:
            version = versions.version_of(opened.fd)
            real = _real_path_of(opened.fd, os.path.join(root.path, *names))
        except OSError as error:
            opened.close()
            raise os_errors.to_error(error, NotFound()) from error
        fd, opened.fd = opened.fd, -1
        file = cls(fd, opened.name, opened.facts, opened.is_dicom)
        file.real, file.version = real, version
        return file

    def identity(self) -> bytes:
        """The same for two files if they are the same version of one file."""
        return b"%b\0%b\0" % (os.fsencode(self.real), conditional.etag(self.facts))


@dataclass(frozen=True)
class PictureSource:
    """An open file, and those that hold the other half of its volume. ``key`` is of this version
    of them all, and of the code that makes pictures. ``missing`` is the name of the half that is
    not there: without it the file may still be a picture by itself.
    """

    key: bytes
    directory: str
    files: tuple[LocatedFile, ...]
    missing: str | None = None

    @classmethod
    def of(
        cls,
        version: bytes,
        directory: str,
        files: tuple[LocatedFile, ...],
        missing: str | None = None,
    ) -> PictureSource:
        """``version`` is of the code, ``directory`` what reading the files waits for."""
        identity = b"".join(file.identity() for file in files)
        key = hashlib.sha256(version + identity).digest()
        return cls(key, directory, files, missing)

    @property
    def file(self) -> LocatedFile:
        """The file that was asked for."""
        return self.files[0]

    def picture_key(self, view: View) -> str:
        """64 hexadecimal digits."""
        return picture_key(self.key, view)

    def etag(self, view: View) -> bytes:
        """The picture's entity tag, which needs no picture."""
        return b'"%b"' % self.picture_key(view)[:32].encode("ascii")

    def is_unchanged(self) -> bool:
        """Whether nothing was written to the files since they were opened. May block."""
        try:
            return all(file.is_unchanged() for file in self.files)
        except OSError:
            return False

    def close(self) -> None:
        for file in self.files:
            file.close()


def picture_key(source_key: bytes, view: View) -> str:
    """The key of a picture: 64 hexadecimal digits."""
    return hashlib.sha256(source_key + view.key()).hexdigest()
