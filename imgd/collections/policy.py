"""Which directories may be loaded."""

from __future__ import annotations

import os
from dataclasses import dataclass, field

from imgd.errors import BadRequest, Forbidden, NotFound
from imgd.files.dicom_files import DicomFiles
from imgd.files.disk import SYSTEM_FOLDERS, Root, is_below
from imgd.host import os_errors


@dataclass(frozen=True, slots=True)
class DirectoryPolicy:
    """Where loads are accepted.

    Relative directories are below ``base``. ``allowed`` are real paths, empty for anywhere but
    ``forbidden``, which are never accepted, and for no tree as wide as one that holds the parent
    folder of the document root, ``documents``: such a load is a slip more often than a wish.
    ``dicom_files`` are remembered for all loads.
    """

    base: str
    allowed: tuple[str, ...] = ()
    forbidden: tuple[str, ...] = ()
    follow_symlinks: bool = False
    documents: str = ""
    dicom_files: DicomFiles = field(default_factory=DicomFiles, compare=False)

    def root(self, directory: str, recursive: bool, all_files: bool = False) -> Root:
        """A collection's root at this real path."""
        return Root(
            directory,
            images_only=not all_files,
            recursive=recursive,
            follow_symlinks=self.follow_symlinks,
            forbidden=(*SYSTEM_FOLDERS, *self.forbidden),
            dicom_files=self.dicom_files,
        )

    def absolute(self, given: str) -> str:
        """The path of a directory as a user gave it, without asking the disk."""
        return os.path.normpath(os.path.join(self.base, given))

    def check_location(self, real: str, given: str, recursive: bool = False) -> None:
        """Forbidden if loads of this real path are not accepted, whether it is there or not."""
        if any(is_below(real, folder) for folder in (*SYSTEM_FOLDERS, *self.forbidden)):
            raise Forbidden(f"{given} cannot be served: choose a directory of images.")
        if self.allowed and not any(is_below(real, folder) for folder in self.allowed):
            raise Forbidden(f"{given} is outside the allowed roots (--allow-root).")
        if recursive and not self.allowed and self._is_too_wide(real):
            raise Forbidden(f"{given} is too wide to be loaded recursively without --allow-root.")

    def _is_too_wide(self, real: str) -> bool:
        """Whether it is the whole disk, or lies above the folder that the document root is in."""
        parent = os.path.dirname(self.documents)
        is_above = real != parent and is_below(parent, real)
        return is_above or os.path.dirname(real) == real

    def check(self, given: str, recursive: bool = False) -> str:
        """The real path of a directory as a user gave it, if it may be loaded. Blocks.

        Forbidden, NotFound or BadRequest if it may not: a path that is out of bounds is Forbidden
        whether something is there or not.
        """
        path = os.path.join(self.base, os.path.expanduser(given))
        try:
            self.check_location(os.path.realpath(path), given, recursive)
            # Strictly, too: links behind one that loops stay unresolved otherwise.
            real = os.path.realpath(path, strict=True)
        except PermissionError:
            raise _unreadable(given) from None
        except (OSError, ValueError) as error:
            raise os_errors.to_error(error, NotFound(f"Directory not found: {given}")) from error
        self.check_location(real, given, recursive)
        if not os.path.isdir(real):
            raise BadRequest(f"Not a directory: {given}")
        if not os.access(real, os.R_OK | os.X_OK):
            raise _unreadable(given)
        return real


def _unreadable(given: str) -> BadRequest:
    return BadRequest(f"Directory cannot be read: {given}. Check its permissions.")
