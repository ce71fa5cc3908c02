"""The command ``imgd``: its options, and the reactor under it."""

from __future__ import annotations

import os
import sys
import webbrowser
from collections.abc import Coroutine, Mapping, Sequence
from contextlib import suppress
from typing import Any, Final, NoReturn, TextIO

from twisted.internet import reactor as the_reactor
from twisted.internet.defer import CancelledError, Deferred
from twisted.python.failure import Failure

from imgd.client import commands
from imgd.client.command_line import parse
from imgd.client.context import CliContext
from imgd.client.demo import demo
from imgd.client.discovery import Server, find_server
from imgd.client.load_command import LoadCommand
from imgd.client.load_targets import FOLDER, load_targets, resumed
from imgd.client.manifest import read_manifest
from imgd.client.options import CliOptions
from imgd.client.tunnel import tunnel
from imgd.errors import ImgdError

COMMANDS: Final = {
    "status": commands.status,
    "unload": commands.unload,
    "timeout": commands.timeout,
    "link": commands.link,
    "tunnel": tunnel,
}


def main() -> NoReturn:
    """The entry point: exits with 0 all well, 1 something failed, 2 usage."""
    status = run(sys.argv[1:], the_reactor, os.environ, sys.stdout, sys.stderr)
    with suppress(BrokenPipeError):
        sys.stdout.close()  # here, where it can be suppressed that nobody reads it
    sys.exit(status)


def run(
    arguments: Sequence[str],
    reactor: Any,
    environ: Mapping[str, str],
    out: TextIO,
    err: TextIO,
) -> int:
    """Run a command on a reactor until it is done, or SIGINT or SIGTERM stops it; its status."""
    options = parse(arguments)
    context = CliContext(reactor, environ, out, err, reactor)
    statuses: list[int] = []

    def begin() -> None:
        working = Deferred.fromCoroutine(guarded(context, perform(context, options)))
        reactor.addSystemEventTrigger("before", "shutdown", _interrupt, context, working)
        if options.deadline:
            reason = f"not done within {options.deadline:g} seconds"
            reactor.callLater(options.deadline, context.stop, working, reason)
        working.addCallback(statuses.append)
        working.addBoth(lambda _: reactor.running and reactor.callLater(0, _stop, reactor))

    reactor.callWhenRunning(begin)
    reactor.run()
    return statuses[0] if statuses else 1


def _stop(reactor: Any) -> None:
    if reactor.running:
        reactor.stop()


def _interrupt(context: CliContext, working: Deferred[int]) -> Deferred[int]:
    context.stop(working, "interrupted")
    return working


async def guarded(context: CliContext, command: Coroutine[Any, Any, int]) -> int:
    """A command's exit status; what went wrong is logged in one line."""
    try:
        return await command
    except ImgdError as error:
        context.log(f"imgd: {error.detail}")
    except CancelledError:
        context.log(f"imgd: {context.stopped}")
    except BrokenPipeError:
        pass  # whoever read the results has gone
    except OSError as error:
        context.log(f"imgd: {error}")
    except Exception:
        context.log(f"imgd: this is a bug: {Failure().getTraceback()}")
    return 1


async def perform(context: CliContext, options: CliOptions) -> int:
    """Do what the options ask for."""
    if options.command == "demo":
        return await demo(context, None if options.no_browser else webbrowser.open_new_tab)
    if options.command == "load":
        return await _load(context, options)
    return await COMMANDS[options.command](context, _server(context, options), options)


def _server(context: CliContext, options: CliOptions, url: str | None = None) -> Server:
    return find_server(
        context.environ,
        url=options.server or url,
        token=options.token,
        ca_file=options.ca,
        state_dir=options.state_dir,
        public_url=options.public_url,
    )


async def _load(context: CliContext, options: CliOptions) -> int:
    if options.resume is not None:
        manifest, done = read_manifest(options.resume)
        server = _server(context, options, manifest.server)
        targets = [resumed(manifest, done, options.output or options.resume)]
    else:
        server = _server(context, options)
        output = options.output or FOLDER
        targets = load_targets(options.directories, server, options.name, output)
    return await LoadCommand(context, server, options).run(targets)


if __name__ == "__main__":
    main()
