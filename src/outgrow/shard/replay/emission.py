"""From a graph to one Python function: straight code, each variable dropped after its last use."""

__all__ = ["Exchange", "emit"]

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import CodeType
from typing import Any, Final

from outgrow.shard.instructions import FLOAT, INPUT, Template, walk
from outgrow.shard.ranks.fabric import Fabric
from outgrow.shard.ranks.kernels import Kernel, plain_op, resolve_op, template_kernel
from outgrow.shard.replay.exchanges import Exchange, moving, starting, waiting
from outgrow.shard.replay.graph import Graph, Kind, Node

NAME: Final = "<outgrow program>"
"""File name in tracebacks; the line says which node it was."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Emitted:
    """Code and what it refers to."""

    code: CodeType
    spaces: tuple[Mapping[str, Any], ...]
    """For each lane, what the names in the code mean."""
    steps: Mapping[int, int]
    """From a line of the code to the step of the segment."""
    text: str


def emit(graph: Graph, fabric: Fabric, *, is_solo: bool = False) -> Emitted:
    """A function `run(i, f)` of the list of a lane's inputs, which it empties, and the call's floats.

    With one lane it returns the outputs. With several it is a generator, all of them in step: where ranks
    talk it yields `(exchange, tensors)` and is sent what that lane receives. `is_solo`: for one rank
    alone, whatever the fabric.
    """
    return _Emission(graph, fabric, is_solo).run()


class _Emission:
    def __init__(self, graph: Graph, fabric: Fabric, is_solo: bool) -> None:
        self.graph, self.fabric = graph, fabric
        self.ranks = fabric.lanes[:1] if is_solo else fabric.lanes
        self.is_single = len(self.ranks) == 1
        self.spaces: list[dict[str, Any]] = [{} for _ in self.ranks]
        self.lines: list[str] = []
        self.steps: dict[int, int] = {}
        self.names: dict[int, str] = {}
        """Text by which the identity of an object was bound."""

    def run(self) -> Emitted:
        graph = self.graph
        unpack = "".join(f"v{variable}, " for variable in graph.inputs)
        self.lines = ["def run(i, f):", f"    {unpack}= i" if unpack else "    pass", "    i.clear()"]
        drops = self._drops()
        for position, node in enumerate(graph.nodes):
            for line in self._node(position, node):
                self.lines.append(f"    {line}")
                self.steps[len(self.lines)] = node.step
            if drops[position]:
                # Assignment is cheaper than `del` for none of them and reads the same for all.
                self.lines.append("    del " + ", ".join(f"v{variable}" for variable in drops[position]))
        if not self.is_single:
            self.lines.append("    if 0: yield")
        self.lines.append("    return (" + "".join(f"v{one}, " for one in graph.outputs.values()) + ")")
        text = "\n".join(self.lines)
        return Emitted(
            code=compile(text, NAME, "exec"), spaces=tuple(self.spaces), steps=self.steps, text=text
        )

    def _drops(self) -> list[list[int]]:
        last: dict[int, int] = {}
        for position, node in enumerate(self.graph.nodes):
            for variable in (*node.inputs, *node.outputs):
                last[variable] = position
        kept = set(self.graph.outputs.values())
        drops: list[list[int]] = [[] for _ in self.graph.nodes]
        for variable, position in last.items():
            if variable not in kept:
                drops[position].append(variable)
        return drops

    def _bind(self, name: str, *meanings: Any) -> str:
        for space, meaning in zip(
            self.spaces, meanings * (len(self.spaces) if len(meanings) == 1 else 1), strict=True
        ):
            space[name] = meaning
        return name

    def _node(self, position: int, node: Node) -> list[str]:
        copied = [
            f"v{operand}" + (".clone()" if copy else "")
            for operand, copy in zip(node.inputs, node.copies or [False] * len(node.inputs), strict=True)
        ]
        variables = self.graph.variables
        if node.kind is Kind.OP:
            return self._op(position, node)
        if node.kind is Kind.MOVE:
            old, new = variables[node.inputs[0]], variables[node.outputs[0]]
            exchange = moving(old.meta, old.placement, new.placement, self.fabric)
            return [f"v{new.number} = {self._exchange(position, exchange, copied)}"]
        if node.kind is Kind.START:
            exchange = starting([variables[one].meta for one in node.inputs], node.reduction, self.fabric)
            return [f"v{node.outputs[0]} = {self._exchange(position, exchange, copied)}"]
        results = "".join(f"v{one}, " for one in node.outputs)
        return [f"{results}= {self._exchange(position, waiting(), copied)}"]

    def _exchange(self, position: int, exchange: Exchange, operands: list[str]) -> str:
        if self.is_single:
            name = self._bind(f"x{position}", _alone(exchange))
            return f"{name}({', '.join(operands)})"
        name = self._bind(f"x{position}", exchange)
        return f"yield {name}, ({', '.join(operands)},)"

    def _op(self, position: int, node: Node) -> list[str]:
        template, row = node.template, node.row
        assert template is not None
        assert row is not None
        lines, operands = [], [f"v{operand}" for operand in node.inputs]
        for k, place in enumerate(template.mutates):
            name = f"v{node.outputs[k]}"
            lines.append(f"{name} = {operands[place]}" + (".clone()" if node.copies[place] else ""))
            operands = [name if one == operands[place] else one for one in operands]
        if row.kernel is None and _is_plain(template):
            call = self._plain_call(position, node, template, operands)
            made = node.outputs[len(template.mutates) :]
            if made:
                target = ", ".join(f"v{one}" for one in made)
                call = f"{target} = {call}"
            return [*lines, call]
        if row.kernel is None:
            kernels: list[Kernel] = [template_kernel(template, self.fabric.device)] * len(self.spaces)
        else:
            kernels = [row.kernel(rank, self.fabric.world_size, self.fabric.device) for rank in self.ranks]
        name = self._bind(f"k{position}", *kernels)
        results = "".join(f"v{one}, " for one in node.outputs)
        start, stop = node.floats
        floats = "()" if start == stop else f"f[{start}:{stop}]"
        return [*lines, f"{results}= {name}([{', '.join(operands)}], {floats})"]

    def _plain_call(self, position: int, node: Node, template: Template, operands: list[str]) -> str:
        op = resolve_op(template.op)
        supply = iter(operands).__next__
        numbers = iter(range(*node.floats)).__next__
        constants = iter(range(10_000)).__next__

        def text(argument: Any) -> str:
            if argument is INPUT:
                return supply()
            if argument is FLOAT:
                return f"f[{numbers()}]"
            if isinstance(argument, tuple) and any(leaf is INPUT or leaf is FLOAT for leaf in walk(argument)):
                return "[" + ", ".join(text(one) for one in argument) + "]"
            if argument is None or type(argument) in (int, bool):
                return repr(argument)
            return self._bind(f"c{position}_{constants()}", argument)

        arguments = [text(argument) for argument in template.args]
        arguments += [f"{name}={text(argument)}" for name, argument in template.kwargs]
        if any(argument.name == "device" for argument in op._schema.arguments):
            arguments.append(f"device={self._bind('device', self.fabric.device)}")
        name = self._bind("o_" + template.op.replace(".", "_"), plain_op(template.op))
        return f"{name}({', '.join(arguments)})"


def _alone(exchange: Exchange) -> Callable[..., Any]:
    return lambda *tensors: exchange([tensors])[0]


def _is_plain(template: Template) -> bool:
    """Whether what torch returns is just what the template says, in its order."""
    if plain_op(template.op) is None:
        return False
    returns = resolve_op(template.op)._schema.returns
    made = len(template.outputs) - len(template.mutates)
    if template.mutates:
        return made == 0
    return len(returns) == made and all(str(one.type) == "Tensor" for one in returns)
