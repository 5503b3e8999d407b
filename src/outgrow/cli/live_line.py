"""A status line below text that is still being written; stdout stays free of control characters."""

__all__ = ["LiveLine"]

import time
from typing import TextIO

from rich.cells import cell_len, set_cell_size

_SECONDS_BETWEEN = 0.1
_ERASE_LINE = "\r\x1b[2K"
_DIM, _PLAIN = "\x1b[2m", "\x1b[0m"


class LiveLine:
    """Text goes to `out`, the status to `err`; None as `err` means that nobody watches.

    Where both are one terminal, the cursor always rests at the end of the text and the status stands on the
    line below it. It is reached by moving down and up again, because positions on the screen change when it
    scrolls.
    """

    def __init__(self, *, out: TextIO, err: TextIO | None, is_shared: bool, width: int, is_dim: bool) -> None:
        self._out = out
        self._err = err
        self._is_shared = is_shared
        self._width = max(width, 2)
        self._is_dim = is_dim
        self._column = 0
        self._status = ""
        self._is_drawn = False
        self._drawn_at = float("-inf")

    def update(self, status: str) -> None:
        """Show `status` in place of what the line said before; drawn ten times a second at most."""
        self._status = status.replace("\n", " ")
        if time.monotonic() - self._drawn_at >= _SECONDS_BETWEEN:
            self._draw()

    def write(self, text: str) -> None:
        """Add text to stdout at once."""
        if not text:
            return
        if self._is_shared:
            self._erase()
            if self._column == self._width and not text.startswith("\n"):
                # A terminal wraps with the character after a full line, and forgets that it has to when the
                # cursor was moved away meanwhile.
                self._send("\r\n")
                self._column = 0
        self._out.write(text)
        self._out.flush()
        if self._is_shared:
            self._follow(text)
            if self._status:
                self._draw()

    def _follow(self, text: str) -> None:
        """Keep track of the cursor's column; the terminal's width where the line is full."""
        last = text.rpartition("\n")[2]
        begin = 0 if "\n" in text else self._column
        end = begin + cell_len((" " * begin + last).expandtabs()[begin:])
        self._column = (end - 1) % self._width + 1 if end else 0

    def finish(self) -> None:
        """Take the status away."""
        self._erase()
        self._status = ""

    def _erase(self) -> None:
        # Not "erase what is below the cursor": at the end of a full line the cursor stands on its last
        # character.
        if self._is_drawn:
            self._send(f"\n{_ERASE_LINE}{self._back()}" if self._is_shared else _ERASE_LINE)
        self._is_drawn = False

    def _draw(self) -> None:
        self._drawn_at = time.monotonic()
        self._is_drawn = True
        shown = set_cell_size(self._status, min(cell_len(self._status), self._width - 1))
        if self._is_dim:
            shown = f"{_DIM}{shown}{_PLAIN}"
        self._send(f"\n{_ERASE_LINE}{shown}{self._back()}" if self._is_shared else _ERASE_LINE + shown)

    def _back(self) -> str:
        """Up to the end of the text."""
        return f"\x1b[1A\x1b[{min(self._column + 1, self._width)}G"

    def _send(self, control: str) -> None:
        if self._err is not None:
            self._out.flush()
            self._err.write(control)
            self._err.flush()
