"""The user's own certificate and key, ``--cert`` and ``--key``."""

from __future__ import annotations

import os
from collections.abc import Sequence
from datetime import UTC, datetime

from cryptography import x509

from imgd.certificates.files import (
    PairPaths,
    PrivateKey,
    belong_together,
    read_chain,
    read_key,
)
from imgd.errors import StartError

FileState = tuple[int, int, int]  # time of change in ns, size in bytes, inode


class UserCertificates:
    """Used again when they change on disk."""

    files = None
    ca_pem: bytes | None = None

    def __init__(self, certificate: str, key: str) -> None:
        self._paths = PairPaths(certificate, key)
        self.pairs = (self._paths,)
        self._in_use = self._file_states()
        self._unfit: list[FileState] | None = None
        self._leaf = _read_leaf(certificate)

    @property
    def problems(self) -> Sequence[str]:
        """That the certificate in use has expired: it is served, for nothing is better."""
        return [] if isinstance(self._leaf, str) else _expiry(self._paths.certificate, self._leaf)

    def renew(self) -> bool:
        """Whether the pair changed and can be used. Blocks.

        A pair that cannot be used may be half written: StartError if the next check finds it
        unchanged.
        """
        states = self._file_states()
        if states == self._in_use:
            return False
        if problems := check_pair(*self._paths):
            was_unfit, self._unfit = self._unfit == states, states
            if was_unfit:
                raise StartError(" ".join(problems))
            return False
        self._in_use, self._leaf = states, _read_leaf(self._paths.certificate)
        return True

    def _file_states(self) -> list[FileState]:
        stats = (os.stat(path) for path in self._paths)
        return [(stat.st_mtime_ns, stat.st_size, stat.st_ino) for stat in stats]


def check_pair(certificate: str, key: str, now: datetime | None = None) -> list[str]:
    """What is wrong with the pair at these paths, a sentence each; none if it can serve.

    The certificate's file may go on with its chain. ``now`` is aware, by default the clock's.
    """
    leaf, private_key = _read_leaf(certificate), _read_key(key)
    problems = [problem for problem in (leaf, private_key) if isinstance(problem, str)]
    if isinstance(leaf, str):
        return problems
    problems += _expiry(certificate, leaf, now)
    if not isinstance(private_key, str) and not belong_together(leaf, private_key):
        problems.append(f"--key {key} does not match --cert {certificate}.")
    return problems


def _expiry(path: str, leaf: x509.Certificate, now: datetime | None = None) -> list[str]:
    end = leaf.not_valid_after_utc
    has_expired = end <= (now or datetime.now(UTC))
    return [f"--cert {path} expired on {end:%Y-%m-%d}."] if has_expired else []


def _read_leaf(path: str) -> x509.Certificate | str:
    try:
        return read_chain(path)[0]
    except OSError as error:
        return f"--cert {path} cannot be read: {error.strerror}."
    except ValueError:
        return f"--cert {path} is no certificate in PEM format."


def _read_key(path: str) -> PrivateKey | str:
    try:
        return read_key(path)
    except OSError as error:
        return f"--key {path} cannot be read: {error.strerror}."
    except TypeError:
        return f"--key {path} is encrypted: give a key that needs no password."
    except ValueError:
        return f"--key {path} is no private key in PEM format that can serve TLS."
