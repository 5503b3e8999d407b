"""Wrapping words of text that comes bit by bit."""

__all__ = ["WordWrap"]

import re
from collections.abc import Callable

_PARTS = re.compile(r"\n|[^\S\n]+|\S+")


class WordWrap:
    """Passes text on with line ends between words, so that no line is wider than `width`.

    A word is held back until it is complete. Words wider than a line are left as they are.
    """

    def __init__(self, tell: Callable[[str], None], *, width: int) -> None:
        self._tell = tell
        self._width = width
        self._column = 0
        self._space = ""
        self._word = ""

    def write(self, text: str) -> None:
        """Add to the text."""
        for part in _PARTS.findall(text):
            if not part.isspace():
                self._word += part
                continue
            self.flush()
            if part == "\n":
                self._space, self._column = "", 0
                self._tell("\n")
            else:
                self._space += part

    def flush(self) -> None:
        """Pass on the word that was held back."""
        word, self._word = self._word, ""
        if not word:
            return
        space, self._space = self._space, ""
        if self._column and self._column + len(space) + len(word) > self._width:
            space, self._column = "\n", -1
        self._tell(space + word)
        self._column += len(space) + len(word)
