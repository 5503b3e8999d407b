"""An event loop in a thread of its own, where the browser of other tests may hold the main one's."""

import asyncio
from concurrent.futures import ThreadPoolExecutor


def run(coroutine):
    """As `asyncio.run`."""
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(asyncio.run, coroutine).result()
