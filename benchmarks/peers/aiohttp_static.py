"""aiohttp's static handler: FOLDER HTTP_PORT HTTPS_PORT CERT KEY."""

import asyncio
import ssl
import sys

from aiohttp import web

folder, http, https, cert, key = sys.argv[1:]


async def main() -> None:
    """Both listeners."""
    app = web.Application()
    app.router.add_static("/", folder)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(cert, key)
    await web.TCPSite(runner, "127.0.0.1", int(http)).start()
    await web.TCPSite(runner, "127.0.0.1", int(https), ssl_context=context).start()
    await asyncio.Event().wait()


asyncio.run(main())
