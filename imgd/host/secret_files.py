"""Secrets in the state folder: made once, and refused if other users can read them."""

from __future__ import annotations

import os
import re
import secrets
import stat
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Generic, TypeVar

from imgd.core.links import KEY_SIZE
from imgd.errors import StartError, Unavailable
from imgd.host.atomic_files import write_file

_OTHERS: Final = 0o077  # every right of the group and of all others
EVERYBODY: Final = 0o007  # every right of those who are neither owner nor in the group
_IN_STATE_FOLDER: Final = ("token", "catalog.sqlite3")
# Bytes of randomness in a made token: 64 hexadecimal digits. Base64url may begin with a hyphen, and
# then `--token TOKEN` takes it for an option.
_TOKEN_BYTES: Final = 32
_TOKEN_MAX_SIZE: Final = 4096  # bytes that are read of the file
# RFC 6750 section 2.1, b64token. Shorter than 16 is a file that was cut; the upper bound is below
# _TOKEN_MAX_SIZE, so that what was not read to its end is no token.
_TOKEN: Final = re.compile(rb"[A-Za-z0-9._~+/-]{16,1024}=*")

T = TypeVar("T", str, bytes)


@dataclass(frozen=True, slots=True)
class SecretFile(Generic[T]):
    """A secret of its own file, ``name``, in the state folder.

    ``title`` names it in errors. ``generate`` gives the content of a new file; ``parse`` reads the
    first ``max_size`` bytes of one, and gives None for what is no such secret.
    """

    name: str
    title: str
    max_size: int
    generate: Callable[[], bytes]
    parse: Callable[[bytes], T | None]

    def path(self, state_dir: str) -> str:
        """The file's path."""
        return os.path.join(state_dir, self.name)

    def read(self, state_dir: str) -> T | None:
        """The secret in the state folder, None if there is none.

        StartError if it cannot be read, is malformed, or can be read by other users.
        """
        path = self.path(state_dir)
        content = _read_private(path, self.title, self.max_size)
        if content is None:
            return None
        secret = self.parse(content)
        if secret is None:
            raise StartError(
                f"{self.title} {path} is empty or malformed: delete it, so that a new one is made."
            )
        return secret

    def read_or_make(self, state_dir: str) -> T:
        """The secret in the state folder, made if there is none; StartError as for ``read``.

        To be called by who holds the folder's ``InstanceLock``: two at once could make two.
        """
        secret = self.read(state_dir)
        if secret is not None:
            return secret
        try:
            return self.make(state_dir)
        except OSError as error:
            path = self.path(state_dir)
            raise StartError(
                f"{self.title} cannot be written to {path}: {error.strerror}."
            ) from error

    def make(self, state_dir: str) -> T:
        """Replace the secret by a new one; OSError, and the old one stays, if that fails."""
        content = self.generate()
        write_file(self.path(state_dir), content, mode=0o600)
        secret = self.parse(content)
        assert secret is not None
        return secret


def _parse_token(content: bytes) -> str | None:
    token = content.strip()
    return token.decode("ascii") if _TOKEN.fullmatch(token) else None


def _parse_key(content: bytes) -> bytes | None:
    return content if len(content) == KEY_SIZE else None


# The bearer token of the control API, and the key that links are signed with.
TOKEN: Final[SecretFile[str]] = SecretFile(
    name="token",
    title="The token",
    max_size=_TOKEN_MAX_SIZE,
    generate=lambda: secrets.token_hex(_TOKEN_BYTES).encode("ascii") + b"\n",
    parse=_parse_token,
)
SIGNING_KEY: Final[SecretFile[bytes]] = SecretFile(
    name="links.key",
    title="The signing key",
    max_size=KEY_SIZE + 1,
    generate=lambda: secrets.token_bytes(KEY_SIZE),
    parse=_parse_key,
)


def renew_signing_key(state_dir: str) -> bytes:
    """Replace the key by a new one, so that no link made before is good. Blocks.

    Unavailable if it cannot be written; the old one stays.
    """
    try:
        return SIGNING_KEY.make(state_dir)
    except OSError as error:
        raise Unavailable(
            f"The links are not revoked, for a new key cannot be written: {error.strerror}."
        ) from error


def _read_private(path: str, title: str, max_size: int) -> bytes | None:
    """Up to ``max_size`` bytes of a file, None if there is none."""
    try:
        with open(path, "rb") as file:
            is_open = is_open_to_others(file.fileno())
            content = file.read(max_size)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise StartError(f"{title} {path} cannot be read: {error.strerror}.") from error
    if is_open:
        raise StartError(
            f"{title} {path} can be read by other users: delete it, so that a new one is "
            f"made, or run: chmod 600 {path}"
        )
    return content


def is_open_to_others(file: str | int, rights: int = _OTHERS) -> bool:
    """Whether anybody but a file's owner has a right to it; OSError. Windows has no such bits."""
    return os.name == "posix" and bool(stat.S_IMODE(os.stat(file).st_mode) & rights)


def refuse_open(state_dir: str) -> None:
    """StartError, which names them all, if others can read secrets of the state folder.

    These are keys, the token and the catalog, whose paths are the operator's; certificates are for
    everybody.
    """
    names = filter(_is_secret, sorted(os.listdir(state_dir)))
    paths = [os.path.join(state_dir, name) for name in names]
    if exposed := [path for path in paths if os.path.isfile(path) and is_open_to_others(path)]:
        raise StartError(
            f"Other users can read {', '.join(exposed)}: delete what they may have copied, or run: "
            f"chmod 600 {' '.join(exposed)}"
        )


def _is_secret(name: str) -> bool:
    return ".key" in name or name.startswith(_IN_STATE_FOLDER)
