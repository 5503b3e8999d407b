"""What an op will give, without running it: a cache by everything that decides it, and FakeTensor on a miss."""

__all__ = ["Entry", "Inference", "Kind"]

import enum
from collections.abc import Sequence
from typing import Any

import torch
from torch._subclasses.fake_tensor import FakeTensorMode

from outgrow.shard.instructions import FLOAT, INPUT, Template, TensorMeta


class Kind(enum.IntEnum):
    """What the client does with the results."""

    ONE = 0
    """One new tensor."""
    MANY = 1
    """A tuple or list of new tensors, perhaps with None among them."""
    WRITE = 2
    """The op writes into arguments."""
    VIEW = 3
    """One or more views of the first argument."""


class Entry:
    """All that a later call of the same kind needs."""

    __slots__ = ("index", "kind", "metas", "offsets", "returns", "template", "written")

    def __init__(self, index: int, kind: Kind, template: Template) -> None:
        self.index = index
        self.kind = kind
        self.template = template
        self.metas: tuple[TensorMeta | None, ...] = ()
        """Of each returned tensor, in order; None where the op returns none there."""
        self.offsets: tuple[int, ...] = ()
        """Storage offsets of each view, counted from the tensor that is viewed, in elements."""
        self.returns: Any = None
        """What is returned: see `WorkersTensor`."""
        self.written: tuple[int, ...] = ()
        """Inputs that are written, by their place among the inputs."""


class Inference:
    """Templates by key. A key holds ops, metas and scalars with their types: `1 == 1.0 == True` in Python."""

    def __init__(self) -> None:
        self.entries: dict[tuple[Any, ...], Entry] = {}
        self.templates: list[Template] = []
        self._fake = FakeTensorMode(allow_non_fake_inputs=True)

    def infer(self, op: Any, metas: Sequence[TensorMeta], args: Any, kwargs: dict[str, Any]) -> Entry:
        """Run the op on fakes; raises what torch raises.

        `args` and `kwargs` hold `INPUT` where tensors were; floats are as given.
        """
        made = []
        for meta in metas:
            with self._fake:
                made.append(torch.empty_strided(meta.shape, meta.stride, dtype=meta.dtype))
        supply = iter(made).__next__
        filled = _fill(args, supply)
        filled_kwargs = {name: _fill(value, supply) for name, value in kwargs.items()}
        with self._fake:
            result = op(*filled, **filled_kwargs)
        kind, written, returns = _kind(op, filled, filled_kwargs, result, made)
        results = [result] if isinstance(result, torch.Tensor) else list(result or ())
        fresh = [
            one for one in results if one is not None and not any(one is made[index] for index in written)
        ]
        outputs = tuple(_meta(made[index]) for index in written) + tuple(_meta(one) for one in fresh)
        template = Template(
            op=f"{op.namespace}.{op._opname}.{op._overloadname}",
            args=_without_floats(args),
            kwargs=tuple((name, _without_floats(value)) for name, value in kwargs.items()),
            inputs=tuple(metas),
            outputs=outputs,
            mutates=written,
        )
        entry = Entry(len(self.templates), kind, template)
        self.templates.append(template)
        entry.written, entry.returns = written, returns
        entry.metas = tuple(None if one is None else _meta(one) for one in results)
        entry.offsets = tuple(0 if one is None else int(one.storage_offset()) for one in results)
        return entry


def _kind(op: Any, args: Any, kwargs: Any, result: Any, made: list[Any]) -> tuple[Kind, tuple[int, ...], Any]:
    schema = op._schema
    written = []
    for position, argument in enumerate(schema.arguments):
        if argument.alias_info is None or not argument.alias_info.is_write:
            continue
        given = args[position] if position < len(args) else kwargs.get(argument.name)
        for one in given if isinstance(given, (list, tuple)) else [given]:
            if one is not None:
                written.append(next(index for index, fake in enumerate(made) if fake is one))
    if written:
        returns = []
        for one in [result] if isinstance(result, torch.Tensor) else list(result or ()):
            at = next((index for index in written if made[index] is one), None)
            returns.append(at)
        return Kind.WRITE, tuple(written), tuple(returns)
    if any(one.alias_info is not None for one in schema.returns):
        return Kind.VIEW, (), isinstance(result, (list, tuple))
    if isinstance(result, torch.Tensor):
        return Kind.ONE, (), None
    return Kind.MANY, (), len(schema.returns) == 1


def _meta(tensor: Any) -> TensorMeta:
    return TensorMeta(tuple(tensor.shape), tuple(tensor.stride()), tensor.dtype)


def _fill(arguments: Any, supply: Any) -> Any:
    if arguments is INPUT:
        return supply()
    if isinstance(arguments, (tuple, list)):
        return type(arguments)(_fill(argument, supply) for argument in arguments)
    return arguments


def _without_floats(arguments: Any) -> Any:
    if type(arguments) is float:
        return FLOAT
    if isinstance(arguments, (tuple, list)):
        return tuple(_without_floats(argument) for argument in arguments)
    return arguments
