"""Views over values: making one anew after a write, and writing through one."""

__all__ = ["regenerate", "write_back"]

from typing import Any

from outgrow.shard.client.values import Value
from outgrow.shard.instructions import INPUT, Template, TensorMeta


def regenerate(tensor: Any) -> Value:
    """Cut the view out of what its storage holds now: one instruction, `outgrow.read_view`."""
    return _step(tensor, "outgrow.read_view", (tensor._cell.value,), (tensor._cell.meta,), tensor._meta)


def write_back(tensor: Any, value: Value) -> Value:
    """The storage's contents with the view's place filled from `value`: one instruction, `outgrow.write_view`."""
    cell = tensor._cell
    return _step(tensor, "outgrow.write_view", (cell.value, value), (cell.meta, tensor._meta), cell.meta)


def _step(
    tensor: Any, op: str, values: tuple[Value, ...], metas: tuple[TensorMeta, ...], output: TensorMeta
) -> Value:
    session, chain = tensor._session, tensor._view.chain
    key = (op, metas, chain)
    inference = session.inference
    index = inference.entries.get(key)
    if index is None:
        template = Template(op=op, args=((INPUT,) * len(values)) + (chain,), inputs=metas, outputs=(output,))
        inference.templates.append(template)
        index = inference.entries[key] = len(inference.templates) - 1
    made: Value = session.new_value()
    session.steps.append((index, [value.number for value in values], (made.number,), ()))
    return made
