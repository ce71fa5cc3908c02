"""The command ``imgd``: its options, and the reactor under it."""

from __future__ import annotations

import os
import signal
import sys
import webbrowser
from collections.abc import Coroutine
from contextlib import suppress
from typing import Any, NoReturn

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.task import react
from twisted.python.failure import Failure

from imgd.client.base_urls import base_url
from imgd.client.commands import CliContext, link, status, timeout, unload
from imgd.client.demo import demo
from imgd.client.discovery import find_server
from imgd.client.errors import ClientError
from imgd.client.load_command import LoadCommand
from imgd.client.load_targets import FOLDER, load_targets, resumed
from imgd.client.manifest import read_manifest
from imgd.client.options import CliOptions, parse
from imgd.client.trust_command import trust
from imgd.client.tunnel import tunnel
from imgd.errors import ImgdError

_COMMANDS = {"status": status, "unload": unload, "timeout": timeout, "link": link, "tunnel": tunnel}


def main() -> NoReturn:
    if sys.stderr is None:  # it was closed: what is told there is lost
        sys.stderr = open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115
    options = parse(sys.argv[1:])
    if sys.stdout is None:
        sys.exit("imgd: standard output is closed, so there is nowhere to write to")
    try:
        react(_run, (options,))
    finally:
        for stream in (sys.stdout, sys.stderr):
            with suppress(OSError):  # which was told, or nobody reads it
                stream.close()  # here, where that can be suppressed


async def _run(reactor: Any, options: CliOptions) -> NoReturn:
    running: Deferred[None] = Deferred()
    reactor.callWhenRunning(running.callback, None)
    await running  # from here on the reactor handles signals
    context = CliContext(reactor, os.environ, sys.stdout, sys.stderr, reactor)
    working = Deferred.fromCoroutine(guarded(context, perform(context, options)))

    def interrupt() -> Deferred[int]:
        context.stop(working, "interrupted")
        return working

    reactor.addSystemEventTrigger("before", "shutdown", interrupt)
    _stop_when_hung_up(reactor)
    if options.deadline:
        reason = f"not done within {options.deadline:g} seconds"
        reactor.callLater(options.deadline, context.stop, working, reason)
    raise SystemExit(await working)


def _stop_when_hung_up(reactor: Any) -> None:
    """A terminal that is closed is as Ctrl-C, unless that is to be ignored, as with nohup."""
    if hasattr(signal, "SIGHUP") and signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:
        signal.signal(signal.SIGHUP, lambda *_: reactor.callFromThread(reactor.stop))


async def guarded(context: CliContext, command: Coroutine[Any, Any, int]) -> int:
    try:
        return await command
    except BrokenPipeError:
        pass  # whoever read the results has gone
    except CancelledError:
        context.log(f"imgd: {context.stopped}")
    except ImgdError as error:
        context.log(f"imgd: {error.detail}")
    except OSError as error:
        file = f"{error.filename}: " if error.filename else ""
        context.log(f"imgd: {file}{error.strerror or error}")
    except Exception:
        context.log(f"imgd: this is a bug: {Failure().getTraceback()}")
    return 1


async def perform(context: CliContext, options: CliOptions) -> int:
    if options.command == "demo":
        return await demo(context, None if options.no_browser else webbrowser.open_new_tab)
    if options.command == "trust":
        return await trust(context, options)
    _check_working_folder()
    previous = None if options.resume is None else read_manifest(options.resume)
    server = find_server(
        context.environ,
        url=options.server or (previous[0].server if previous else None),
        token=options.token,
        ca_file=options.ca,
        state_dir=options.state_dir,
        public_url=options.public_url,
    )
    if options.command != "load":
        return await _COMMANDS[options.command](context, server, options)
    output = options.output or options.resume or FOLDER
    if previous is None:
        targets = load_targets(options.directories, server, options.name, output)
    else:
        options.verify = options.verify or previous[0].verify
        options.recursive = options.recursive or previous[0].recursive
        targets = [resumed(*previous, output)]
    base = base_url(context.environ, options, previous[0] if previous else None)
    return await LoadCommand(context, server, options, base).run(targets)


def _check_working_folder() -> None:
    try:
        os.getcwd()
    except OSError as error:
        raise ClientError(f"the working folder cannot be used: {error.strerror}") from None


if __name__ == "__main__":
    main()
