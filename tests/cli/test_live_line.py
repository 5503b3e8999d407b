import io
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from outgrow.cli.live_line import LiveLine

_TOKEN = re.compile(r"\x1b\[(\d*)([A-Za-z])|(.)", re.DOTALL)


class Screen(io.StringIO):
    """A small terminal: as many lines as needed in memory, of which the last `height` can be reached."""

    def __init__(self, width, height):
        super().__init__()
        self.width = width
        self.height = height
        self.lines = [""]
        self.row = self.column = 0
        self.is_wrapping = False

    def write(self, text):
        for number, command, character in _TOKEN.findall(text):
            if command:
                self._control(int(number or 1), command)
            elif character == "\n":
                self._down()
                self.column = 0  # as terminals do with what programs print
                self.is_wrapping = False
            elif character == "\r":
                self.column = 0
                self.is_wrapping = False
            else:
                self._put(character)
        return len(text)

    def _put(self, character):
        if self.is_wrapping:
            self._down()
            self.column = 0
        line = self.lines[self.row].ljust(self.column)
        self.lines[self.row] = line[: self.column] + character + line[self.column + 1 :]
        self.is_wrapping = self.column == self.width - 1
        self.column = min(self.column + 1, self.width - 1)

    def _down(self):
        self.row += 1
        if self.row == len(self.lines):
            self.lines.append("")

    def _control(self, number, command):
        self.is_wrapping = False
        if command == "A":
            self.row = max(self.row - number, len(self.lines) - self.height, 0)
        elif command == "G":
            self.column = min(number - 1, self.width - 1)
        elif command == "J":
            self.lines[self.row] = self.lines[self.row][: self.column]
            # What was scrolled in stays in, empty.
            self.lines[self.row + 1 :] = [""] * len(self.lines[self.row + 1 :])
        elif command == "K":
            self.lines[self.row] = ""
        elif command != "m":
            raise AssertionError(f"the terminal does not know {command}")

    @property
    def text(self):
        return "\n".join(line.rstrip() for line in self.lines).rstrip("\n")


def wrapped(text, width):
    lines = []
    for line in text.split("\n"):
        pieces = [line[at : at + width] for at in range(0, len(line), width)] or [""]
        lines += [piece.rstrip() for piece in pieces]
    return "\n".join(lines).rstrip("\n")


def on_one_terminal(width=20, height=5):
    screen = Screen(width, height)
    return screen, LiveLine(out=screen, err=screen, is_shared=True, width=width, is_dim=True)


WORDS = st.lists(st.text("ab c\n", min_size=1, max_size=9), max_size=12)


@given(words=WORDS, width=st.integers(2, 12), height=st.integers(2, 4))
def test_text_streams_above_the_line_as_if_it_were_not_there(words, width, height):
    screen, line = on_one_terminal(width, height)
    for number, word in enumerate(words):
        line.write(word)
        line._drawn_at = float("-inf")
        line.update(f"{number}!")
    if words:
        expected = wrapped("".join(words), width).split("\n")
        shown = screen.text.split("\n")
        assert shown[-1] == f"{len(words) - 1}!"[: width - 1]
        assert [text for text in shown[:-1] if text] == [text for text in expected if text]
    line.finish()
    assert screen.text == wrapped("".join(words), width)


def test_a_status_longer_than_the_terminal_is_cut():
    screen, line = on_one_terminal(width=10)
    line.update("0123456789abc")
    assert screen.text == "\n012345678"


def test_updates_are_drawn_ten_times_a_second_at_most():
    screen, line = on_one_terminal()
    line.update("first")
    line.update("second")
    assert "second" not in screen.text
    line.write("text")
    assert "second" in screen.text


@pytest.mark.parametrize("is_dim", [True, False])
def test_stdout_gets_the_text_alone(is_dim):
    out, err = io.StringIO(), io.StringIO()
    line = LiveLine(out=out, err=err, is_shared=False, width=80, is_dim=is_dim)
    line.update("27.0 MB resident")
    line.write("Hello ")
    line.write("world\n")
    line.finish()
    assert out.getvalue() == "Hello world\n"
    assert ("\x1b[2m" in err.getvalue()) is is_dim
    assert err.getvalue().endswith("\r\x1b[2K")


def test_nobody_watching_means_text_alone():
    out = io.StringIO()
    line = LiveLine(out=out, err=None, is_shared=False, width=80, is_dim=False)
    line.update("27.0 MB resident")
    line.write("Hello")
    line.finish()
    assert out.getvalue() == "Hello"
