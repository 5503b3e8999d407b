"""Ctrl-C at one chosen place of a program: every place where Python looks for signals has a number."""

import dis
import gc
import os
import select
import signal
import sys
import traceback
from pathlib import Path

import pytest

import outgrow

needs_opcodes = pytest.mark.skipif(
    sys.version_info >= (3, 13),
    reason="Python 3.13 shows a tracer the opcodes of a function's later calls alone",
)
SOURCES = Path(outgrow.__file__).parent
# After these Python looks whether a signal came; RESUME begins a function or goes on after a `yield`.
_LOOKING = ("CALL", "CALL_KW", "CALL_FUNCTION_EX", "RESUME", "JUMP_BACKWARD")


class CtrlC:
    """As a context: SIGINT is sent where the main thread comes to the `at`-th place in the files of `rooms`.

    With `at=None` none is sent, and `places` says afterwards how many there were. The signal is a true one:
    whoever handles it meanwhile gets it.
    """

    def __init__(self, at=None, rooms=("stream", "store", "devices")):
        self.at = at
        self.places = 0
        self.where = None
        """File, line and function of the place, once the signal was sent."""
        self._below = tuple(f"{SOURCES / room}" for room in rooms)
        self._known = {}
        self._last = {}

    def __enter__(self):
        self._handler = signal.signal(signal.SIGINT, signal.default_int_handler)
        # From Python 3.12 on there are events for opcodes only if a frame had asked for them by now.
        sys._getframe().f_trace_opcodes = True
        sys.settrace(self._enter)
        return self

    def __exit__(self, *_):
        sys.settrace(None)
        signal.signal(signal.SIGINT, self._handler)
        self._last.clear()

    def _enter(self, frame, _event, _arg):
        if not frame.f_code.co_filename.startswith(self._below):
            return None
        frame.f_trace_lines = False
        frame.f_trace_opcodes = True
        return self._step

    def _step(self, frame, event, _arg):
        if event != "opcode":
            if event == "return":
                self._last.pop(frame, None)
            return self._step
        before, now = self._last.get(frame), frame.f_lasti
        self._last[frame] = now
        code = frame.f_code
        places = self._known.get(code)
        if places is None:
            places = self._known[code] = _places(code)
        if places.get(now, now) == before:
            self.places += 1
            if self.places == self.at:
                self.where = f"{Path(code.co_filename).name}:{frame.f_lineno} {code.co_qualname}"
                self._last.clear()
                signal.raise_signal(signal.SIGINT)
        return self._step


def _places(code):
    """Offsets of the instructions before which a signal can arrive, with that of the one before each."""
    places, before = {}, None
    handlers = {
        offset: entry.target
        for entry in reversed(dis._parse_exception_table(code))
        for offset in range(entry.start, entry.end, 2)
    }
    for instruction in dis.get_instructions(code):
        # Python raises it at the instruction that is over, a tracer at the next one: only where both have the
        # same handler is it the same.
        is_same = before is not None and handlers.get(before.offset) == handlers.get(instruction.offset)
        if is_same and before.opname in _LOOKING:
            places[instruction.offset] = before.offset
        before = instruction
    return places


def outcome_of_child(run, seconds):
    """What went wrong when a forked process called `run`, as text; None where nothing did.

    A process of its own, because a program that was interrupted in the wrong place may wait for ever, or
    leave the next one without what it needs.
    """
    read, write = os.pipe()
    child = os.fork()
    if not child:
        os.close(read)
        gc.freeze()  # looking through everything that is loaded, again and again, would take the most time
        text = ""
        try:
            run()
        except BaseException:
            text = traceback.format_exc()
        with os.fdopen(write, "w") as out:
            out.write(f"{text}done")
        os._exit(0)
    os.close(write)
    said = ""
    with os.fdopen(read) as ended:
        if select.select([ended], [], [], seconds)[0]:
            said = ended.read()
        else:
            os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    if said == "done":
        return None
    return said.removesuffix("done") or f"it hung for {seconds} seconds, or died"
