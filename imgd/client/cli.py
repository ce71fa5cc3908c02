"""The command ``imgd``: its options, and the reactor under it."""

from __future__ import annotations

import os
import sys
import webbrowser
from collections.abc import Coroutine, Mapping, Sequence
from contextlib import suppress
from typing import Any, NoReturn, TextIO

from twisted.internet import reactor as the_reactor
from twisted.internet.defer import CancelledError, Deferred
from twisted.python.failure import Failure

from imgd.client import commands, demo, tunnel
from imgd.client.agents import treq_client
from imgd.client.desk import Desk, Work
from imgd.client.discovery import Server, find_server
from imgd.client.jobs import FOLDER, jobs, resumed
from imgd.client.loading import Loading, LoadOptions
from imgd.client.options import parse
from imgd.client.options_common import CommandOptions
from imgd.client.trust import policy
from imgd.errors import ImgdError
from imgd.host.manifest_file import read_manifest


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
    desk = Desk(reactor, environ, out, err, reactor)
    statuses: list[int] = []

    def begin() -> None:
        work = Work(desk, Deferred.fromCoroutine(guarded(desk, perform(desk, options))))
        reactor.addSystemEventTrigger("before", "shutdown", _call_off, work)
        if options.deadline:
            reason = f"not done within {options.deadline:g} seconds"
            reactor.callLater(options.deadline, work.stop, reason)
        work.working.addCallback(statuses.append)
        work.working.addBoth(lambda _: reactor.running and reactor.callLater(0, _stop, reactor))

    reactor.callWhenRunning(begin)
    reactor.run()
    return statuses[0] if statuses else 1


def _stop(reactor: Any) -> None:
    if reactor.running:
        reactor.stop()


def _call_off(work: Work) -> Deferred[int]:
    work.stop("interrupted")
    return work.working


async def guarded(desk: Desk, command: Coroutine[Any, Any, int]) -> int:
    """A command's exit status; what went wrong is told in one line."""
    try:
        return await command
    except ImgdError as error:
        desk.say(f"imgd: {error.detail}")
    except CancelledError:
        desk.say(f"imgd: {desk.stopped}")
    except BrokenPipeError:
        pass  # whoever read the results has gone
    except OSError as error:
        desk.say(f"imgd: {error}")
    except Exception:
        desk.say(f"imgd: this is a bug: {Failure().getTraceback()}")
    return 1


async def perform(desk: Desk, options: CommandOptions) -> int:
    """Do what the options ask for."""
    if options.command == "demo":
        return await demo.demo(desk, webbrowser.open_new_tab if options.browser else None)
    if options.command == "load":
        return await _load(desk, options)
    server = _server(desk, options, options.server)
    match options.command:
        case "status":
            return await commands.status(desk, server, as_json=options.json)
        case "unload":
            return await commands.unload(desk, server, options.name)
        case "timeout":
            return await commands.timeout(desk, server, options.minutes)
        case "link":
            return await _link(desk, server, options)
    return await _tunnel(desk, server, options)


def _server(
    desk: Desk, options: CommandOptions, url: str | None, public_url: str | None = None
) -> Server:
    return find_server(
        desk.environ,
        url=url,
        token=options.token,
        ca_file=options.ca,
        state_dir=options.state_dir,
        public_url=public_url,
    )


async def _load(desk: Desk, options: CommandOptions) -> int:
    if options.resume is not None:
        manifest, done = read_manifest(options.resume)
        server = _server(desk, options, options.server or manifest.server, options.public_url)
        wanted = [resumed(manifest, done, options.output or options.resume)]
    else:
        server = _server(desk, options, options.server, options.public_url)
        wanted = jobs(options.directories, server, options.name, options.output or FOLDER)
    chosen = {name: getattr(options, name) for name in LoadOptions.__slots__}
    return await Loading(desk, server, LoadOptions(**chosen)).run(wanted)


async def _link(desk: Desk, server: Server, options: CommandOptions) -> int:
    if options.place is None:
        return await commands.revoke_links(desk, server)
    return await commands.link(
        desk, server, options.place, options.expires, is_prefix=options.prefix
    )


async def _tunnel(desk: Desk, server: Server, options: CommandOptions) -> int:
    client = desk.client(server)
    if options.clear:
        desk.tell((await client.set_public_url(None)).message)
        return 0
    agent = tunnel.Agent(treq_client(desk.reactor, policy(None)), options.agent, desk.clock)
    await tunnel.use_tunnel(agent, client, desk, options.wait)
    return 0


if __name__ == "__main__":
    main()
