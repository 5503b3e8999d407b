"""Reads that nothing waits for but the update of one parameter: small all-reduces for them share messages."""

__all__ = ["Deferral"]

from typing import Final

from outgrow.shard.planner.problem import Problem

FAR: Final = 64
"""Steps between making and reading a value after which the read does not wait for it, whatever it is for."""


class Deferral:
    """Which reads nothing waits for but the update of one parameter; found once for a problem.

    Variables are numbered as in `Graph`.
    """

    def __init__(
        self, problem: Problem, makers: list[tuple[int, int]], uses: list[list[tuple[int, int]]]
    ) -> None:
        inputs = len(problem.segment.inputs)
        count = inputs + len(problem.segment.steps)
        self.ends: dict[int, list[int]] = {}
        """From a value to the inputs that it becomes."""
        reach = [0] * count
        for bit, (given, local) in enumerate(problem.state):
            self.ends.setdefault(local + inputs, []).append(given)
            reach[makers[local + inputs][0]] |= 1 << bit
        updated = {local + inputs for _, local in problem.state}
        other = 1 << len(problem.state)
        for local in problem.live:
            if local + inputs not in updated and not uses[local + inputs]:
                reach[makers[local + inputs][0]] |= other
        made: list[list[int]] = [[] for _ in range(count)]
        for value, (maker, _) in enumerate(makers):
            made[maker].append(value)
        for variable in range(count - 1, -1, -1):
            for value in made[variable]:
                for reader, _ in uses[value]:
                    reach[variable] |= reach[reader]
        self._reach, self._inputs = reach, inputs
        self._given = [given for given, _ in problem.state]
        self._group = self._groups(self._given, other)

    def _groups(self, given: list[int], other: int) -> list[int]:
        """For each state, the set of states that belong to the same parameter: an optimizer's state reaches
        only those."""
        groups = [1 << bit for bit in range(len(given))]
        for bit, leaf in enumerate(given):
            mask = self._reach[leaf]
            if mask & other or mask.bit_count() > 8:
                continue
            joined = mask | 1 << bit
            for member in range(len(given)):
                if joined >> member & 1:
                    groups[member] |= joined
        return groups

    def is_deferred(self, maker: int, reader: int) -> bool:
        """Whether a value that variable `maker` makes may come late to variable `reader`."""
        mask = self._reach[reader]
        if not mask:
            return reader - maker > FAR
        first = (mask & -mask).bit_length() - 1
        if first < len(self._group) and mask & ~self._group[first] == 0:
            return True
        return maker >= self._inputs and reader - maker > FAR

    def state_of(self, reader: int) -> int | None:
        """Which state's update a variable is a part of, as an index into `Problem.state`: its parameter's
        where there are more."""
        mask = self._reach[reader]
        if not mask or mask >> len(self._group):
            return None
        first = (mask & -mask).bit_length() - 1
        if mask & ~self._group[first]:
            return None
        # A parameter reaches all states; what an optimizer keeps of it, only its own.
        members = [bit for bit in range(len(self._group)) if self._group[first] >> bit & 1]
        return max(members, key=lambda bit: (self._reach[self._given[bit]].bit_count(), -bit))
