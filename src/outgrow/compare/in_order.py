"""Several pairs at a time, their outcomes one after the other."""

__all__ = ["in_order"]

import contextlib
from collections import deque
from collections.abc import Callable, Generator, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

import torch

Made = TypeVar("Made")

# A thread takes so much at once: to hand over a single pair takes about as long as to measure it.
_GROUP_BYTES = 1 << 26
_GROUP_LENGTH = 64


def in_order(work: Callable[[int], Made], sizes: Sequence[int]) -> Generator[Made]:
    """What `work(i)` returns, for each of `sizes` in turn; those are bytes that it reads.

    As many threads as torch has work on groups of neighbours, so that one reads while another computes.
    What `work` raises is raised before the outcomes of its group. No thread is left when the generator is
    closed.
    """
    threads = torch.get_num_threads()
    waiting: deque[Future[list[Made]]] = deque()
    with contextlib.ExitStack() as closing:
        pool = ThreadPoolExecutor(threads)
        # Whoever stops early does not wait for what has not begun.
        closing.callback(pool.shutdown, cancel_futures=True)
        for group in _groups(sizes):
            if len(waiting) > threads:
                yield from waiting.popleft().result()
            waiting.append(pool.submit(_all, work, group))
        while waiting:
            yield from waiting.popleft().result()


def _all(work: Callable[[int], Made], group: range) -> list[Made]:
    return [work(number) for number in group]


def _groups(sizes: Sequence[int]) -> Iterator[range]:
    start, total = 0, 0
    for number, size in enumerate(sizes):
        if number > start and (total + size > _GROUP_BYTES or number - start == _GROUP_LENGTH):
            yield range(start, number)
            start, total = number, 0
        total += size
    if start < len(sizes):
        yield range(start, len(sizes))
