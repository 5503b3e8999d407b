"""Views over values: making one anew after a write, and writing what a view holds back into its storage."""

__all__ = ["chain_of", "regenerate", "settle"]

from typing import Any

from outgrow.shard.client.values import Cell, Link, Value, View
from outgrow.shard.instructions import INPUT, Template


def regenerate(cell: Cell, view: View) -> Value:
    """Cut a view out of what its storage holds now: the ops that made it, once more."""
    value = cell.value or settle(cell)
    emit = cell.session.emit
    for entry, index in view.chain:
        value = emit(entry.index, (value,), (), len(entry.template.outputs))[index]
    return value


def settle(cell: Cell) -> Value:
    """The contents of a whole storage: zeros at first, with the last write through a view in its place."""
    session, form, overlay = cell.session, cell.form, cell.overlay
    inference = session.inference
    if overlay is None or cell.under is None:
        entry = inference.entry(
            ("zeros", form),
            lambda: Template(
                op="aten.zeros.default",
                args=(form.shape,),
                kwargs=(("dtype", form.dtype),),
                outputs=(form.meta,),
            ),
            form,
        )
        under: Value = session.emit(entry.index, ())[0]
    else:
        under = cell.under
    if overlay is None:
        cell.value = under
        return under
    chain, metas = overlay.chain, (form.meta, overlay.form.meta)
    entry = inference.entry(
        ("write", form, overlay.form, chain),
        lambda: Template(
            op="outgrow.write_view", args=(INPUT, INPUT, chain_of(chain)), inputs=metas, outputs=(form.meta,)
        ),
        form,
    )
    made: Value = session.emit(entry.index, (under, overlay.value))[0]
    cell.value, cell.overlay, cell.under = made, None, None
    return made


def chain_of(chain: tuple[Link, ...]) -> tuple[Any, ...]:
    """A view's ops as templates hold them: `(op name, args without the tensor, kwargs, which result)`."""
    links: list[Any] = []
    for entry, index in chain:
        *first, last = entry.link
        links.extend((*link, None) for link in first)
        links.append((*last, index if entry.is_list else None))
    return tuple(links)
