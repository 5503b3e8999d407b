"""One training step as variables and the tables between them: pure.

A variable for each input of the segment and for each of its steps; its options are placements or rows. What a
row costs is its own table; what turning a value from one placement into another costs is a table between the
variable that makes the value and each that reads it. The new contents of a parameter are tied to the
parameter itself, so that a placement found for one step fits the next: data parallelism and its relatives
come out where they are cheapest, they are not put in.
"""

__all__ = ["Graph"]

import copy
import itertools
from collections.abc import Iterable, Mapping, Sequence

import numpy as np

from outgrow.errors import InputError
from outgrow.placement import Placement, Replicate, Shard
from outgrow.shard.instructions import TensorMeta
from outgrow.shard.planner.cost import CostModel
from outgrow.shard.planner.deferral import Deferral
from outgrow.shard.planner.elimination import IMPOSSIBLE, Table
from outgrow.shard.planner.problem import Problem
from outgrow.shard.planner.resting import at_rest
from outgrow.shard.planner.sharing import Sharing, sharing_tables
from outgrow.shard.planner.variables import END, Move, Use, Value, Variable
from outgrow.shard.rules import Row

_TIE = 1e-9


class Graph:
    """The variables and values of a problem, and tables over them."""

    def __init__(self, problem: Problem) -> None:
        """Raises InputError where a pinned placement is impossible."""
        self.problem = problem
        self.cost = CostModel(problem.costs)
        self.inputs = len(problem.segment.inputs)
        self._doubles: dict[int, tuple[tuple[Row, ...], tuple[int, ...]]] = {}
        self._tables: dict[tuple[object, ...], Table] = {}
        self._columns: dict[tuple[int, int, bool], tuple[Placement, ...]] = {}
        self._shares: dict[tuple[object, ...], Sharing] = {}
        self._seconds: dict[tuple[int, int], Table] = {}
        self._between: list[list[tuple[tuple[int, int], Table]]] = []
        self.values = self._values()
        self.variables = self._variables()
        self.resting = tuple(sorted({given for given, _ in problem.state} | set(problem.kept)))
        """Inputs that stay with the ranks from step to step."""
        self.at_rest = at_rest(problem)
        """Values that ranks hold between two steps: state, other inputs, and what outlives the step; views
        once."""
        self._rest: dict[int, Table] = {}
        updated = {local for _, local in problem.state}
        self.fetched = tuple(
            local + self.inputs
            for local in problem.live
            if local not in updated and self._is_number(self.values[local + self.inputs])
        )
        """Single numbers that outlive the step: losses, which somebody will look at."""

    def priced(self, cost: CostModel) -> "Graph":
        """The same variables and values with other costs."""
        other = copy.copy(self)
        other.cost = cost
        other._tables, other._seconds, other._between, other._shares = {}, {}, [], {}
        return other

    # What there is

    def _values(self) -> tuple[Value, ...]:
        """Inputs first, then local numbers."""
        segment, inputs = self.problem.segment, self.inputs
        metas = list(segment.inputs)
        makers = [(number, 0) for number in range(inputs)]
        uses: list[list[tuple[int, int]]] = [[] for _ in metas]
        for index, step in enumerate(segment.steps):
            for position, ref in enumerate(step.inputs):
                uses[self.value_of(ref)].append((inputs + index, position))
            for output, meta in enumerate(segment.templates[step.template].outputs):
                metas.append(meta)
                makers.append((inputs + index, output))
                uses.append([])
        later = self.deferral = Deferral(self.problem, makers, uses)
        counts = [step.outputs for step in segment.steps]
        starts = list(itertools.accumulate([inputs, *counts]))
        self._made_by = [range(number, number + 1) for number in range(inputs)]
        self._made_by += [range(start, start + count) for start, count in zip(starts, counts, strict=False)]
        found = []
        for number, (meta, (maker, output), reads) in enumerate(zip(metas, makers, uses, strict=True)):
            own = [
                Use(variable, position, later.is_deferred(maker, variable)) for variable, position in reads
            ]
            own += [Use(variable, END, True) for variable in later.ends.get(number, ())]
            found.append(Value(meta=meta, nbytes=meta.nbytes, maker=maker, output=output, uses=tuple(own)))
        return tuple(found)

    def _is_number(self, value: Value) -> bool:
        return not value.meta.shape and value.meta.dtype.is_floating_point and value.maker >= self.inputs

    def value_of(self, ref: int) -> int:
        """The value that a step's input means."""
        return ref + self.inputs if ref >= 0 else -1 - ref

    def made_by(self, variable: int) -> range:
        """The values that a step's variable makes."""
        return self._made_by[variable]

    def name_of(self, number: int) -> str:
        """What to call an input."""
        return self.problem.names.get(number, f"input {number}")

    def updated_by(self, number: int) -> int | None:
        """The input whose update a deferred value is for."""
        for use in self.values[number].uses:
            if use.position == END:
                return use.variable
            found = self.deferral.state_of(use.variable)
            if found is not None:
                return self.problem.state[found][0]
        return None

    def update_begins(self) -> list[int]:
        """The variables of the steps that take what an optimizer keeps, the first one first."""
        return sorted(
            use.variable
            for given, _ in self.problem.state
            for use in self.values[given].uses
            if use.is_deferred and use.position != END
        )

    def _variables(self) -> tuple[Variable, ...]:
        problem = self.problem
        steps = []
        for index, rows in enumerate(problem.rows):
            options, numbers = self._without_doubles(rows)
            steps.append(Variable(options=options, numbers=numbers, step=index))
        wanted: list[set[Placement]] = [set() for _ in range(self.inputs)]
        for number in range(self.inputs):
            for use in self.values[number].uses:
                if use.position >= 0:
                    wanted[number].update(
                        row.inputs[use.position] for row in steps[use.variable - self.inputs].options
                    )
        for given, local in problem.state:
            value = self.values[local + self.inputs]
            if value.maker >= self.inputs:
                wanted[given].update(
                    row.outputs[value.output] for row in steps[value.maker - self.inputs].options
                )
        leaves = []
        for number in range(self.inputs):
            pin = problem.pinned.get(number)
            held = (pin,) if pin is not None else tuple(_restable(wanted[number]))
            options = tuple(Row((), (placement,)) for placement in held)
            leaves.append(Variable(options=options, numbers=tuple(range(len(options))), step=None))
        for local, placement in problem.pinned_values.items():
            self._pin_step(steps, local, placement)
        return (*leaves, *steps)

    def _without_doubles(self, rows: tuple[Row, ...]) -> tuple[tuple[Row, ...], tuple[int, ...]]:
        found = self._doubles.get(id(rows))
        if found is None:
            seen: dict[tuple[tuple[Placement, ...], tuple[Placement, ...]], int] = {}
            for number, row in enumerate(rows):
                seen.setdefault((row.inputs, row.outputs), number)
            numbers = tuple(seen.values())
            found = self._doubles[id(rows)] = (tuple(rows[number] for number in numbers), numbers)
        return found

    def _pin_step(self, steps: list[Variable], local: int, placement: Placement) -> None:
        value = self.values[local + self.inputs]
        index = value.maker - self.inputs
        variable = steps[index]
        keep = [at for at, row in enumerate(variable.options) if row.outputs[value.output] == placement]
        if not keep:
            possible = ", ".join(sorted({str(row.outputs[value.output]) for row in variable.options}))
            raise InputError(
                f"the value {local} cannot be made as {placement}", hint=f"possible are {possible}"
            )
        steps[index] = Variable(
            options=tuple(variable.options[at] for at in keep),
            numbers=tuple(variable.numbers[at] for at in keep),
            step=index,
        )

    # Tables

    def own_tables(
        self,
        *,
        allowed: Mapping[int, frozenset[Placement]] | None = None,
        rest_price: float = 0.0,
        is_smallest: bool = False,
    ) -> list[Table]:
        """What each option costs by itself, seconds.

        `allowed`: for some inputs, the placements that they may have. `rest_price`: seconds that a byte costs
        which a rank holds between two steps, a memory limit's multiplier. `is_smallest`: only options that
        hold the least.
        """
        tables, sent = [], set(self.problem.uploads)
        for number, variable in enumerate(self.variables):
            if variable.step is None:
                table = np.array(
                    [0.0 if type(row.outputs[0]) is Replicate else _TIE for row in variable.options]
                )
                if number in sent:
                    meta = self.problem.segment.inputs[number]
                    table = table + self._upload_table(variable, meta)
                held = None if allowed is None else allowed.get(number)
                if held is not None:
                    table = table + [
                        0.0 if row.outputs[0] in held else IMPOSSIBLE for row in variable.options
                    ]
            else:
                table = self._rows_seconds(variable)
            tables.append(table)
        for number in self.fetched:
            value = self.values[number]
            fetch = self._move_table(self._made(value), (Replicate(),), value.nbytes, True)
            tables[value.maker] = tables[value.maker] + fetch[:, 0]
        if rest_price or is_smallest:
            for maker, sizes in self.rest_tables().items():
                table = tables[maker] + sizes * rest_price
                if is_smallest:
                    least = sizes[table < IMPOSSIBLE].min()
                    table = np.where(sizes > least, IMPOSSIBLE, table)
                tables[maker] = table
        return tables

    def _upload_table(self, variable: Variable, meta: TensorMeta) -> Table:
        """Each rank copies what it holds out of what was sent."""
        sizes = [self.cost.local_bytes(meta, row.outputs[0]) for row in variable.options]
        return np.array(sizes) / self.cost.costs.memory_bandwidth

    def _rows_seconds(self, variable: Variable) -> Table:
        assert variable.step is not None
        template = self.problem.segment.steps[variable.step].template
        key = (template, id(variable.options))
        found = self._seconds.get(key)
        if found is None:
            body = self.problem.segment.templates[template]
            found = np.array([self.cost.row(body, row) for row in variable.options])
            self._seconds[key] = found
        return found

    def pair_tables(
        self, shared: Iterable[int] = ()
    ) -> tuple[dict[tuple[int, int], list[Table]], list[Table]]:
        """Tables between variables, and the own tables of further variables: one for each value in `shared`.

        Such a variable says into which placement the value is turned once for all who want it so.
        """
        if not self._between:
            self._between = [self._value_tables(value) for value in self.values]
        pairs: dict[tuple[int, int], list[Table]] = {}
        further: list[Table] = []
        copied = set(shared)
        for number, (value, between) in enumerate(zip(self.values, self._between, strict=True)):
            if number in copied:
                self._share(value, pairs, further)
            else:
                for key, table in between:
                    pairs.setdefault(key, []).append(table)
        return pairs, further

    def _value_tables(self, value: Value) -> list[tuple[tuple[int, int], Table]]:
        made, found = self._made(value), []
        for use in value.uses:
            if use.variable != value.maker:
                table = self._move_table(made, self._needed(use), value.nbytes, use.is_deferred)
                if table.any():
                    found.append(((value.maker, use.variable), table))
        return found

    def _share(self, value: Value, pairs: dict[tuple[int, int], list[Table]], further: list[Table]) -> None:
        made = self._made(value)
        needs = tuple((self._needed(use), use.is_deferred) for use in value.uses)
        key = (made, needs, value.nbytes)
        found = self._shares.get(key)
        if found is None:
            found = self._shares[key] = sharing_tables(self.cost, made, needs, value.nbytes)
        variable = len(self.variables) + len(further)
        further.append(found.own)
        pairs.setdefault((value.maker, variable), []).append(found.match)
        for use, table in zip(value.uses, found.readers, strict=True):
            pairs.setdefault((variable, use.variable), []).append(table)

    def _made(self, value: Value) -> tuple[Placement, ...]:
        return self._column(self.variables[value.maker].options, value.output, is_output=True)

    def _needed(self, use: Use) -> tuple[Placement, ...]:
        options = self.variables[use.variable].options
        return self._column(options, max(use.position, 0), is_output=use.position == END)

    def _column(self, options: tuple[Row, ...], position: int, *, is_output: bool) -> tuple[Placement, ...]:
        key = (id(options), position, is_output)
        found = self._columns.get(key)
        if found is None:
            rows = [row.outputs if is_output else row.inputs for row in options]
            found = self._columns[key] = tuple(row[position] for row in rows)
        return found

    def _move_table(
        self, made: tuple[Placement, ...], needed: tuple[Placement, ...], nbytes: int, is_deferred: bool
    ) -> Table:
        key = (made, needed, nbytes, is_deferred)
        found = self._tables.get(key)
        if found is None:
            rows = [[self.cost.move(old, new, nbytes, is_deferred) for new in needed] for old in made]
            found = self._tables[key] = np.array(rows)
        return found

    # Judging a choice

    def rest_tables(self) -> dict[int, Table]:
        """For each variable that makes something which is held between two steps, its bytes on the fullest
        rank by option."""
        if not self._rest:
            for number in self.at_rest:
                value = self.values[number]
                made = self._made(value)
                sizes = np.array([self.cost.local_bytes(value.meta, placement) for placement in made])
                self._rest[value.maker] = self._rest.get(value.maker, 0.0) + sizes
        return self._rest

    def rest_bytes(self, choices: Sequence[int]) -> int:
        """What the fullest rank holds between two steps."""
        return int(sum(table[choices[variable]] for variable, table in self.rest_tables().items()))

    def state_bytes(self, choices: Sequence[int]) -> int:
        """What of that is state and kept inputs."""
        return int(sum(self.rest_tables()[number][choices[number]] for number in self.resting))

    def moves(self, choices: Sequence[int]) -> list[Move]:
        """Each redistribution that the choices lead to, once."""
        found, fetched = [], set(self.fetched)
        for number, value in enumerate(self.values):
            if not value.uses and number not in fetched:
                continue
            old = self.variables[value.maker].options[choices[value.maker]].outputs[value.output]
            wanted: dict[Placement, bool] = {}
            if number in fetched and old != Replicate():
                wanted[Replicate()] = True
            for use in value.uses:
                row = self.variables[use.variable].options[choices[use.variable]]
                new = row.outputs[0] if use.position == END else row.inputs[use.position]
                if new != old:
                    wanted[new] = wanted.get(new, True) and use.is_deferred
            for new, is_deferred in wanted.items():
                seconds = self.cost.move(old, new, value.nbytes, is_deferred)
                found.append(Move(number, old, new, is_deferred, seconds))
        return found

    def seconds(self, choices: Sequence[int]) -> float:
        """The predicted time of a step, with small deferred all-reduces joined as they are when it runs."""
        compute = sum(
            float(self._rows_seconds(variable)[choice])
            for variable, choice in zip(self.variables, choices, strict=True)
            if variable.step is not None
        )
        for number in self.problem.uploads:
            meta = self.problem.segment.inputs[number]
            compute += float(self._upload_table(self.variables[number], meta)[choices[number]])
        moves = self.moves(choices)
        return compute + sum(move.seconds for move in moves) + self.unfilled_seconds(moves)

    def unfilled_seconds(self, moves: Sequence[Move]) -> float:
        """What the last shared message takes beyond the shares that its contents were charged."""
        joined = sum(
            self.values[move.value].nbytes
            for move in moves
            if self.cost.is_joined(move.old, move.new, self.values[move.value].nbytes, move.is_deferred)
        )
        return self.cost.unfilled(joined)


def _restable(wanted: set[Placement]) -> list[Placement]:
    """How an input may be held between calls: whole or cut, never as sums."""
    held = sorted(
        (placement for placement in wanted if isinstance(placement, Shard)), key=lambda one: one.dim
    )
    return [Replicate(), *held]
