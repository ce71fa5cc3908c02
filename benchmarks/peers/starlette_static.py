"""Starlette's StaticFiles under uvicorn: FOLDER HTTP_PORT HTTPS_PORT CERT KEY."""

import asyncio
import sys

import uvicorn
from starlette.applications import Starlette
from starlette.routing import Mount
from starlette.staticfiles import StaticFiles

folder, http, https, cert, key = sys.argv[1:]
app = Starlette(routes=[Mount("/", StaticFiles(directory=folder))])


async def main() -> None:
    """Both listeners."""
    quiet = {"log_level": "error", "access_log": False, "host": "127.0.0.1"}
    plain = uvicorn.Config(app, port=int(http), **quiet)
    tls = uvicorn.Config(app, port=int(https), ssl_certfile=cert, ssl_keyfile=key, **quiet)
    await asyncio.gather(uvicorn.Server(plain).serve(), uvicorn.Server(tls).serve())


asyncio.run(main())
