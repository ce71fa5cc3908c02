"""Load a directory into the imgd that runs on this machine, and print what it can be fetched by.

python load_and_list.py DIRECTORY
"""

import os
import sys

from twisted.internet.defer import Deferred
from twisted.internet.task import react

from imgd.client import connect


async def load_and_list(reactor, directory):
    """Load, list and unload it."""
    client = connect(reactor)
    loaded = await client.load(os.path.abspath(directory), name="example", timeout_minutes=5)
    print(loaded.message)
    async for image in client.images("example"):
        print(image.url, image.size, image.media_type)
    print((await client.unload("example")).message)
    await client.close()


if __name__ == "__main__":
    react(lambda reactor: Deferred.fromCoroutine(load_and_list(reactor, sys.argv[1])))
