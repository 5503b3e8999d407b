"""Reading the next tensors while the last ones are still looked at."""

__all__ = ["in_order"]

import contextlib
from collections import deque
from collections.abc import Callable, Generator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

import torch

Given = TypeVar("Given")
Made = TypeVar("Made")

# So much is read before it is looked at. Mapped files need no more: the system itself reads ahead of who
# touches their pages (docs/experiments.md), and several pairs at a time keep a disk busy.
_AHEAD_BYTES = 1 << 26


def in_order(
    read: Sequence[Callable[[], Given]], work: Callable[[int, Given], Made], sizes: Sequence[int]
) -> Generator[Made]:
    """What `work(i, read[i]())` returns, for each in turn. Reading runs ahead in a thread of its own, by some
    MB or one thing; `sizes` are bytes. As many things are worked on at a time as torch has threads: tensors
    that are not large are measured by a thread each.

    What `read` or `work` raises is raised in its turn. No thread is left when the iterator is closed.
    """
    waiting: deque[tuple[int, Future[Made]]] = deque()
    with contextlib.ExitStack() as closing:
        reader, workers = ThreadPoolExecutor(1), ThreadPoolExecutor(torch.get_num_threads())
        # Whoever stops early does not wait for what has not begun; those that wait for it end first.
        closing.callback(workers.shutdown, cancel_futures=True)
        closing.callback(reader.shutdown, cancel_futures=True)
        ahead = 0
        for number, reading in enumerate(read):
            while waiting and (ahead + sizes[number] > _AHEAD_BYTES or len(waiting) > 64):
                size, first = waiting.popleft()
                yield first.result()
                ahead -= size
            given = reader.submit(reading)
            waiting.append((sizes[number], workers.submit(_work, work, number, given)))
            ahead += sizes[number]
            del given
        while waiting:
            yield waiting.popleft()[1].result()


def _work(work: Callable[[int, Given], Made], number: int, given: "Future[Given]") -> Made:
    return work(number, given.result())
