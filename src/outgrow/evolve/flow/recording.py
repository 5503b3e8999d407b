"""Write down which op made each tensor while a model runs, and what each module got and gave."""

__all__ = ["Call", "Flow", "Node", "record_flow"]

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves, tree_map_only
from torch.utils.weak import WeakTensorKeyDictionary

from outgrow import capture
from outgrow.evolve.coupling.coupling import every_op_of_its_own
from outgrow.evolve.edits.outputs import output_tensors
from outgrow.evolve.example_inputs import ExampleInputs
from outgrow.evolve.transactions.undisturbed import undisturbed


@dataclass(frozen=True, slots=True, eq=False)
class Node:
    """One tensor, at one moment: what an in-place op makes of it is another node."""

    op: str
    """The op's name without overload (`addmm`, `relu_`), `weight`, or `given` for what no op made."""
    args: tuple[Any, ...] = ()
    """The op's positional arguments, tensors as nodes."""
    kwargs: Mapping[str, Any] = field(default_factory=dict)
    """Its keyword arguments, likewise."""
    place: int = 0
    """Which of the op's tensors it is."""
    weight: str = ""
    """Qualified name of the parameter or buffer, where it is one."""
    shape: tuple[int, ...] = ()
    """Its shape."""
    dtype: torch.dtype = torch.float32
    """Its dtype."""

    def sources(self) -> Iterator["Node"]:
        """The nodes among the arguments."""
        for leaf in tree_leaves((self.args, dict(self.kwargs)), is_leaf=lambda one: isinstance(one, Node)):
            if isinstance(leaf, Node):
                yield leaf


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Call:
    """One call of one module."""

    name: str
    """Its qualified name, the first of its names."""
    given: tuple[Node, ...]
    """The tensors among its arguments, positional ones first."""
    gave: tuple[Node, ...]
    """The tensors that it returned directly, or in a tuple, a list or a mapping, in order."""
    alone: bool
    """Whether it returned one tensor, not in anything."""
    arguments: int
    """How many arguments it got."""
    is_identity: bool = False
    """Whether it gave one of its arguments bit for bit; said only of modules that were asked about."""

    def weights(self) -> frozenset[str]:
        """Qualified names of the weights that what it gave depends on, by way of its own ops."""
        seen: set[Node] = set(self.given)
        waiting = list(self.gave)
        names = set()
        while waiting:
            node = waiting.pop()
            if node in seen:
                continue
            seen.add(node)
            if node.op == "weight":
                names.add(node.weight)
            waiting.extend(node.sources())
        return frozenset(names)


class Flow:
    """What one run of a model told."""

    def __init__(self, model: nn.Module, compare: Collection[str] = ()) -> None:
        self.calls: list[Call] = []
        self.outputs: dict[str, Tensor] = {}
        """What the model gave."""
        self._nodes = WeakTensorKeyDictionary()
        self._open: list[tuple[tuple[Node, ...], int, list[Tensor]]] = []
        self._compare = compare
        for name, tensor in [*model.named_parameters(), *model.named_buffers()]:
            self._nodes[tensor] = Node(
                op="weight", weight=name, shape=tuple(tensor.shape), dtype=tensor.dtype
            )

    def node(self, tensor: Tensor) -> Node:
        """What is known of a tensor now."""
        known = self._nodes.get(tensor)  # type: ignore[no-untyped-call]
        if known is None:
            known = Node(op="given", shape=tuple(tensor.shape), dtype=tensor.dtype)
            self._nodes[tensor] = known
        return known  # type: ignore[no-any-return]

    def calls_of(self, name: str) -> list[Call]:
        """The calls of one module, in order."""
        return [call for call in self.calls if call.name == name]

    def follow(self, op: str, args: Any, kwargs: Any, results: Any) -> None:
        """Note that an op ran."""
        given = tree_map_only(Tensor, self.node, args)
        named = tree_map_only(Tensor, self.node, kwargs)
        tensors = [leaf for leaf in tree_leaves(results) if isinstance(leaf, Tensor)]
        for place, tensor in enumerate(tensors):
            self._nodes[tensor] = Node(
                op=op,
                args=given,
                kwargs=named,
                place=place,
                shape=tuple(tensor.shape),
                dtype=tensor.dtype,
            )

    def enter(self, call: capture.Call) -> None:
        """Note that a module is called."""
        tensors = [leaf for leaf in tree_leaves((call.args, dict(call.kwargs))) if isinstance(leaf, Tensor)]
        nodes = tuple(self.node(one) for one in tensors)
        kept = [one.clone() for one in tensors] if call.name in self._compare else []
        self._open.append((nodes, len(call.args) + len(call.kwargs), kept))

    def leave(self, call: capture.Call, output: Any, _error: BaseException | None) -> None:
        """Note that a module has given its output."""
        given, arguments, kept = self._open.pop()
        found = list(output.values()) if isinstance(output, Mapping) else output
        parts = [
            one for one in (found if isinstance(found, tuple | list) else [found]) if isinstance(one, Tensor)
        ]
        self.calls.append(
            Call(
                name=call.name,
                given=given,
                gave=tuple(self.node(one) for one in parts),
                alone=isinstance(output, Tensor),
                arguments=arguments,
                is_identity=any(
                    one.shape == parts[0].shape and torch.equal(one, parts[0]) for one in kept if parts
                ),
            )
        )

    def finish(self, output: Any) -> None:
        """Note what the model gave."""
        self.outputs = {name: one.detach() for name, one in output_tensors(output).items()}


class _Recording(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Hands every op to the flow after it ran."""

    def __init__(self, flow: Flow) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._flow = flow

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        with torch.no_grad():
            results = func(*args, **(kwargs or {}))
        self._flow.follow(func.overloadpacket.__name__, args, kwargs or {}, results)
        return results


def record_flow(model: nn.Module, inputs: ExampleInputs, *, compare: Collection[str] = ()) -> Flow:
    """Run `model` once in eval mode and write down what flows through it; the model is left as it was.

    Of the modules called `compare` it is also said whether they give what they get.
    """
    flow = Flow(model, compare)
    with undisturbed(model), torch.enable_grad(), every_op_of_its_own():
        model.eval()
        with capture.watch(model, enter=flow.enter, leave=flow.leave), _Recording(flow):
            output = inputs.call(model)
    flow.finish(output)
    return flow
