"""One recorded call of a function, sent again with new numbers."""

__all__ = ["Output", "Recording", "Replay", "differs"]

import weakref
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from outgrow.shard.client.forms import Form
from outgrow.shard.client.session import Session
from outgrow.shard.client.values import Value
from outgrow.shard.messages import Call

Made = tuple[int, int]
"""The call and the position among its live values."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Output:
    """A tensor that the function returns."""

    made: Made
    form: Form


@dataclass(frozen=True, slots=True, kw_only=True)
class Recording:
    """What one call of the function sent and left behind."""

    calls: tuple[Call, ...]
    arguments: tuple[int, ...]
    """Numbers of the values that it was given."""
    outputs: tuple[Output, ...]
    values: dict[Made, "weakref.ref[Value]"]
    """Live values whose tensors are still there."""
    places: tuple[Any, ...]
    """Where in the program each call's instructions were asked for."""

    def origin(self) -> dict[int, Made]:
        """From a value's number to what made it."""
        return {
            number: (at, position)
            for at, call in enumerate(self.calls)
            for position, number in enumerate(call.outputs)
        }


def _shape(recording: Recording, before: Recording) -> list[Any]:
    """All of a recording but its numbers: where every value comes from."""
    own, last = recording.origin(), before.origin()
    argument = {number: at for at, number in enumerate(recording.arguments)}

    def source(number: int) -> tuple[Any, ...]:
        if number in own:
            return ("own", *own[number])
        if number in argument:
            return ("argument", argument[number])
        if number in last:
            return ("last", *last[number])
        return ("kept", number)

    return [
        (
            call.segment,
            call.live,
            call.floats,
            call.ends_step,
            [source(number) for number in call.inputs],
        )
        for call in recording.calls
    ]


def differs(first: Recording, second: Recording, third: Recording) -> str | None:
    """How the third call did something else than the second; None where a fourth can be expected to do the
    same.
    """
    if len(second.calls) != len(third.calls):
        return f"one call ended {len(second.calls)} segments, the next {len(third.calls)}"
    for one, other in zip(_shape(second, first), _shape(third, second), strict=True):
        if one[0] != other[0] or one[1] != other[1]:
            return "two calls did not run the same ops"
        if one[2] != other[2]:
            old, new = next((a, b) for a, b in zip(one[2], other[2], strict=True) if a != b)
            return f"a Python float was {old!r} in one call and {new!r} in the next"
        if one[3:] != other[3:]:
            return "two calls read their tensors from different places"
    if [output.made for output in second.outputs] != [output.made for output in third.outputs]:
        return "two calls returned different tensors"
    freed = {number for call in third.calls for number in call.freed}
    returned = {output.made for output in second.outputs}
    for number, made in second.origin().items():
        if made in second.values and number not in freed and made not in returned:
            return "something keeps a tensor of every call"
    return None


class Replay:
    """Sends what was recorded once more."""

    def __init__(self, session: Session, last: Recording, before: Recording) -> None:
        self.session = session
        self._calls = last.calls
        self._places = last.places
        self._outputs = last.outputs
        shape = _shape(last, before)
        self._sources = [one[4] for one in shape]
        self._numbers = [list(call.outputs) for call in last.calls]
        """Of what the last call made."""
        returned = {output.made for output in last.outputs}
        self._values = [(made, ref) for made, ref in last.values.items() if made not in returned]
        own, origin = last.origin(), before.origin()
        self._freed: list[list[tuple[bool, int, int]]] = []
        """For each call, which values it frees: whether of the call before, its call and position."""
        for call in last.calls:
            found = [(True, *origin[number]) for number in call.freed if number in origin]
            found += [(False, *own[number]) for number in call.freed if number in own]
            self._freed.append([one for one in found if not (one[0] and (one[1], one[2]) in returned)])
        self._left = self._left_behind(last, returned)

    def _left_behind(self, last: Recording, returned: set[Made]) -> list[Made]:
        """What lives on after its call though no tensor holds it any more when the function is over."""
        freed = {(k, position) for one in self._freed for is_last, k, position in one if not is_last}
        return [
            made
            for made in last.origin().values()
            if made not in last.values and made not in freed | returned
        ]

    def is_possible(self) -> bool:
        """Whether every tensor that the function writes is still there."""
        return all(ref() is not None for _, ref in self._values)

    def run(self, arguments: Sequence[Value]) -> list[Value]:
        """Send it; the values of the outputs."""
        session = self.session
        given = [value.number for value in arguments]
        with session.lock:
            session.flush()
            numbers, calls = session._numbers, session._calls
            last, made = self._numbers, list[list[int]]()
            for at, call in enumerate(self._calls):
                inputs = []
                for source in self._sources[at]:
                    kind = source[0]
                    if kind == "last":
                        inputs.append(last[source[1]][source[2]])
                    elif kind == "own":
                        inputs.append(made[source[1]][source[2]])
                    else:
                        inputs.append(given[source[1]] if kind == "argument" else source[1])
                made.append([next(numbers) for _ in call.outputs])
                freed = [(last if is_last else made)[k][p] for is_last, k, p in self._freed[at]]
                number = next(calls)
                session._sent[number] = self._places[at]
                if len(session._sent) > session.REMEMBERED:
                    session._sent.popitem(last=False)
                session.link.send(
                    Call(
                        segment=call.segment,
                        inputs=tuple(inputs),
                        live=call.live,
                        outputs=tuple(made[at]),
                        freed=tuple(freed),
                        floats=call.floats,
                        ends_step=call.ends_step,
                        number=number,
                    )
                )
            self._numbers = made
            session._freed.extend([made[k][position] for k, position in self._left])
            for (k, position), ref in self._values:
                value = ref()
                assert value is not None
                value.number = made[k][position]
            return [Value(made[k][p], session._freed.append) for k, p in (one.made for one in self._outputs)]
