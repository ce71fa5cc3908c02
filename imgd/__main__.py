"""The command ``imgd``: what it needs takes a while to import, and Ctrl-C may come meanwhile."""

import sys

INTERRUPTED = 130  # what shells give for a program that Ctrl-C ended


def main() -> None:
    try:
        from imgd.client import cli

        cli.main()
    except KeyboardInterrupt:
        sys.exit(INTERRUPTED)


if __name__ == "__main__":
    main()
