"""Where in the user's program an instruction was asked for: cheap to note, worked out only for an error."""

__all__ = ["Sources", "describe"]

import sys
import threading
from pathlib import Path
from types import CodeType, FrameType
from typing import Final

import torch

from outgrow.shard.client.backward import run_in_own_thread

Place = tuple[CodeType, int]
"""A code object and the offset of its last instruction: the line follows from both, when it is wanted."""

_OWN: Final = str(Path(__file__).resolve().parents[1])
_TORCH: Final = str(Path(torch.__file__).resolve().parent)


class Sources:
    """Finds the user's line. Kept by each session; safe in several threads."""

    def __init__(self) -> None:
        self._is_inside: dict[str, bool] = {}
        """By file name, whether it is torch's or ours."""
        self._waiting: Place | None = None
        """Where the thread that called `backward` waits, as long as no other op came in between."""
        self._last_thread = 0

    def here(self) -> Place | None:
        """The first frame outside of torch and of this package; in a thread of autograd's, of the user's."""
        frame: FrameType | None = sys._getframe(2)
        inside = self._is_inside
        while frame is not None:
            code = frame.f_code
            known = inside.get(code.co_filename)
            if known is None:
                known = inside[code.co_filename] = _is_inside(code.co_filename)
            if not known:
                self._waiting = None
                thread = threading.get_ident()
                if thread != self._last_thread:
                    self._last_thread = thread
                    run_in_own_thread()
                return code, frame.f_lasti
            frame = frame.f_back
        if self._waiting is None:
            self._waiting = self._of_user_thread()
        return self._waiting

    def _of_user_thread(self) -> Place | None:
        frame = sys._current_frames().get(self._last_thread)
        while frame is not None:
            name = frame.f_code.co_filename
            if not self._is_inside.setdefault(name, _is_inside(name)):
                return frame.f_code, frame.f_lasti
            frame = frame.f_back
        return None


def describe(place: Place | None) -> str:
    """`file, line N, in function`, or that it is not known."""
    if place is None:
        return "an unknown line"
    code, offset = place
    line = next(
        (number for start, end, number in code.co_lines() if start <= offset < end and number is not None),
        code.co_firstlineno,
    )
    return f'"{code.co_filename}", line {line}, in {code.co_name}'


def _is_inside(name: str) -> bool:
    return name.startswith((_OWN, _TORCH, "<frozen")) or name.endswith("contextlib.py")
