"""The autograd graph above some tensors, as a list in the order in which it was recorded."""

__all__ = ["Tape", "tape_entries"]

import weakref
from collections import deque
from collections.abc import Iterable
from typing import Any

from torch import Tensor


class Tape:
    """Which tensors ops gave lately. It keeps none of them alive."""

    LONGEST = 10_000
    """Tensors remembered; older ones are left out, what was computed from them is not."""

    def __init__(self) -> None:
        self._made: deque[weakref.ref[Tensor]] = deque(maxlen=self.LONGEST)

    def add(self, tensor: Tensor) -> None:
        """Remember a tensor that an op gave."""
        self._made.append(weakref.ref(tensor))

    def alive(self) -> list[Tensor]:
        """Those that are still there and can go backward."""
        found = (made() for made in self._made)
        return [tensor for tensor in found if tensor is not None and tensor.grad_fn is not None]


def tape_entries(tensors: Iterable[Tensor]) -> list[dict[str, Any]]:
    """One entry for each recorded op that the tensors come from, oldest first. Numbers hold within it."""
    nodes: dict[Any, None] = {}
    leaves: dict[Any, None] = {}
    waiting = [tensor.grad_fn for tensor in tensors if tensor.grad_fn is not None]
    while waiting:
        node = waiting.pop()
        if node in nodes or node in leaves:
            continue
        if hasattr(node, "variable"):
            leaves[node] = None
            continue
        nodes[node] = None
        waiting.extend(above for above, _ in node.next_functions if above is not None)
    # Leaves have no number of their own; ops are numbered by torch in the order they ran.
    ordered = sorted(nodes, key=lambda node: node._sequence_nr())
    numbers = {node: number for number, node in enumerate([*reversed(leaves), *ordered])}
    return [
        {
            "output_id": numbers[node],
            "output_shape": tuple(node._input_metadata[0].shape),
            "input_ids": [numbers[above] for above, _ in node.next_functions if above is not None],
            "grad_fn": node.name().removesuffix("0").removesuffix("Backward"),
            "requires_grad": True,
        }
        for node in ordered
    ]
