"""``python -m imgd.pictures.worker``, which the daemon starts with a socket as standard input."""

from __future__ import annotations

from imgd.pictures.worker import decoding
from imgd.pictures.worker.jobs import run

if __name__ == "__main__":
    run(decoding.decode, decoding.warm)
