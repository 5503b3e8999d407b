"""Ops that look along one dim, or a few, and keep every other as it is."""

__all__ = ["along_rows", "matrix_rows"]

from outgrow.placement import Shard
from outgrow.shard.instructions import Template
from outgrow.shard.ranks.pieces import piece_bounds
from outgrow.shard.rules.arguments import bound, local_form, packet_of, position
from outgrow.shard.rules.cuts import cuts, linear_rows, uniform_rows
from outgrow.shard.rules.row import Row
from outgrow.shard.rules.staged import softmax_parts

_LINEAR = {
    "aten.cumsum": ((0,),),
    "aten.flip": ((0,),),
    "aten.roll": ((0,),),
    "aten._softmax_backward_data": ((0,),),
    "aten._log_softmax_backward_data": ((0,),),
}


_STAGED = (
    "aten._softmax",
    "aten._log_softmax",
    "aten._softmax_backward_data",
    "aten._log_softmax_backward_data",
)


def along_rows(template: Template, world_size: int) -> tuple[Row, ...]:
    """Softmax, sorting, cumulative ops, flips: all tensors are cut in one dim that the op does not look
    along.
    """
    shape = template.inputs[0].shape
    given = bound(template)
    dim = given.get("dim", given.get("dims"))
    if packet_of(template.op) == "aten.roll" and dim in ((), None):
        return linear_rows_of(template)
    looked = {position(one, len(shape)) for one in (dim if isinstance(dim, tuple) else (dim,))}
    if any(len(meta.shape) != len(shape) for meta in (*template.inputs, *template.outputs)):
        return ()
    free = [one for one in range(len(shape)) if one not in looked]
    found = (*uniform_rows(template, free, world_size), *linear_rows_of(template))
    return (*found, *softmax_parts(template, world_size)) if packet_of(template.op) in _STAGED else found


def linear_rows_of(template: Template) -> tuple[Row, ...]:
    """Rows for partial sums, where the op is linear."""
    return tuple(linear_rows(template, _LINEAR.get(packet_of(template.op), ())))


def matrix_rows(template: Template, world_size: int) -> tuple[Row, ...]:
    """`tril`, `triu`: any dim; where rows or columns are cut the diagonal moves with the piece."""
    shape = template.inputs[0].shape
    diagonal = bound(template)["diagonal"]
    found = uniform_rows(template, range(len(shape) - 2), world_size)
    for dim, sign in ((len(shape) - 2, 1), (len(shape) - 1, -1)):
        if cuts(shape[dim], world_size):

            def change(rank: int, ranks: int, dim: int = dim, sign: int = sign) -> dict[str, int]:
                return {"diagonal": diagonal + sign * piece_bounds(shape[dim], rank, ranks)[0]}

            found.append(Row((Shard(dim),), (Shard(dim),), local_form(template, change)))
    return (*found, *linear_rows(template, ((0,),)))
