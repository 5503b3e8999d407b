"""What an op will give, without running it: a cache by all that decides it, and FakeTensor on a miss."""

__all__ = ["Entry", "Inference", "Kind", "op_name"]

import enum
import logging
import threading
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor
from torch._subclasses.fake_tensor import FakeTensorMode

from outgrow.shard.client.forms import Form, form_of_tensor
from outgrow.shard.instructions import FLOAT, INPUT, Template, walk

_LOG = logging.getLogger("torch._subclasses.fake_tensor")
_VIEW, _UNSAFE_VIEW = torch.ops.aten.view.default, torch.ops.aten._unsafe_view.default


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
    HERE = 4
    """Shapes depend on the numbers, or cannot be told beforehand: the client runs it on what it fetches."""
    COMPOSITE = 5
    """Made of other ops: torch takes it apart."""


class Entry:
    """All that a later call of the same kind needs."""

    __slots__ = (
        "details",
        "forms",
        "index",
        "is_list",
        "kind",
        "link",
        "offsets",
        "returns",
        "template",
        "written",
    )

    def __init__(self, kind: Kind) -> None:
        self.kind = kind
        self.index = -1
        """Of the template."""
        self.template: Template | None = None
        self.forms: tuple[Form | None, ...] = ()
        """Of each returned tensor, in order; None where the op returns none there."""
        self.offsets: tuple[int, ...] = ()
        """Storage offset of each view, from the tensor that is viewed on, in elements of the view."""
        self.is_list = False
        """Whether several results come as a list; else as a tuple."""
        self.returns: tuple[int | None, ...] = ()
        """For each returned tensor, which input it is; None for a new one."""
        self.written: tuple[int, ...] = ()
        """Inputs that are written, by their place among the inputs."""
        self.link: tuple[tuple[Any, ...], ...] = ()
        """A view op as `outgrow.write_view` wants it: `(op name, args, kwargs)`, perhaps several."""
        self.details = ""
        """Why it is run by the client, where it is."""


# A view of one tensor, by the op that gives the same numbers as a tensor of their own.
_AS_VALUES = {
    "aten._conj.default": "aten._conj_physical.default",
    "aten._neg_view.default": "aten.neg.default",
}
# Floats of these decide the shape of the result, or which of several ways is taken.
_STATIC_FLOATS = (
    "arange",
    "range",
    "upsample",
    "_upsample",
    "grid_sampler",
    "bernoulli",
    "linspace",
    "logspace",
    # A norm of order 2 can be added up from pieces, one of order infinity cannot.
    "linalg_vector_norm",
    "_foreach_norm",
    "norm.",
)


def has_static_floats(op: Any) -> bool:
    """Whether floats among the arguments decide more than numbers."""
    return f"{op._opname}.".startswith(_STATIC_FLOATS)


def op_name(op: Any) -> str:
    """`aten.add.Tensor`."""
    return f"{op.namespace}.{op._opname}.{op._overloadname}"


class Inference:
    """Templates by key. A key holds ops, forms and scalars so that `1`, `1.0` and `True` differ."""

    def __init__(self) -> None:
        self.entries: dict[tuple[Any, ...], Entry] = {}
        self.forms: dict[tuple[Any, ...], Form] = {}
        """Forms of results that no instruction makes, by what decides them."""
        self.templates: list[Template] = []
        self.float_counts: list[int] = []
        """Of each template, how many floats a step of it takes."""
        self._lock = threading.RLock()
        self._fake = FakeTensorMode(allow_non_fake_inputs=True)

    def add(self, template: Template) -> int:
        """The index of a new template."""
        with self._lock:
            self.templates.append(template)
            leaves = (*walk(template.args), *(leaf for _, value in template.kwargs for leaf in walk(value)))
            self.float_counts.append(sum(leaf is FLOAT for leaf in leaves))
            return len(self.templates) - 1

    def entry(self, key: tuple[Any, ...], make: Callable[[], Template], form: Form) -> Entry:
        """The entry of an instruction that is none of torch's, with one result."""
        found = self.entries.get(key)
        if found is None:
            found = Entry(Kind.ONE)
            found.template = make()
            found.forms = (form,)
            found.index = self.add(found.template)
            self.entries[key] = found
        return found

    def infer(self, op: Any, forms: Sequence[Form], args: Any, kwargs: dict[str, Any]) -> Entry:
        """Run the op on fakes; raises what torch raises.

        `args` and `kwargs` hold `INPUT` where tensors were; floats are as given.
        """
        with self._lock:
            return self._infer(op, forms, args, kwargs)

    def shape(self, op: Any, forms: Sequence[Form], args: Any, kwargs: dict[str, Any]) -> Form:
        """The form of an op's one result; no template is made."""
        with self._lock:
            result, _, _, _ = self._run(op, forms, args, kwargs)
            return form_of_tensor(result)

    def _run(self, op: Any, forms: Sequence[Form], args: Any, kwargs: dict[str, Any]) -> Any:
        was_disabled, _LOG.disabled = (
            _LOG.disabled,
            True,
        )  # what fails here fails again where the user sees it
        try:
            return self._run_fake(op, forms, args, kwargs)
        finally:
            _LOG.disabled = was_disabled

    def _run_fake(self, op: Any, forms: Sequence[Form], args: Any, kwargs: dict[str, Any]) -> Any:
        # FakeTensor gives views that torch refuses, over dims of size 1 whose strides do not meet (2.13).
        place: Any = torch.device("meta") if op is _VIEW else self._fake
        with place:
            made = [torch.empty_strided(form.shape, form.stride, dtype=form.dtype) for form in forms]
        supply = iter(made).__next__
        filled = _fill(args, supply)
        filled_kwargs = {name: _fill(value, supply) for name, value in kwargs.items()}
        with place:
            return op(*filled, **filled_kwargs), made, filled, filled_kwargs

    def _infer(self, op: Any, forms: Sequence[Form], args: Any, kwargs: dict[str, Any]) -> Entry:
        result, made, filled, filled_kwargs = self._run(op, forms, args, kwargs)
        results = list(result) if isinstance(result, (list, tuple)) else [] if result is None else [result]
        if any(
            one is not None and (not isinstance(one, Tensor) or one.layout is not torch.strided)
            for one in results
        ):
            return Entry(Kind.HERE)
        written = _written(op, filled, filled_kwargs, made)
        if not results and not written:  # it looks at numbers and raises
            return Entry(Kind.HERE)
        if any(form_of_tensor(made[index]) is not forms[index] for index in written):
            return Entry(Kind.HERE)
        entry = Entry(_kind(op, result, written))
        entry.is_list = isinstance(result, list) or (
            entry.kind is Kind.VIEW and isinstance(result, (list, tuple))
        )
        entry.written = written
        entry.returns = tuple(
            next((index for index, fake in enumerate(made) if fake is one), None) for one in results
        )
        if entry.kind is not Kind.WRITE and any(at is not None for at in entry.returns):
            return Entry(Kind.HERE)
        entry.forms = tuple(None if one is None else form_of_tensor(one) for one in results)
        entry.offsets = tuple(0 if one is None else int(one.storage_offset()) for one in results)
        fresh = [
            form.meta for form, at in zip(entry.forms, entry.returns, strict=True) if form and at is None
        ]
        name, frozen = op_name(op), tuple((key, _freeze(value, op)) for key, value in kwargs.items())
        entry.template = Template(
            op=_AS_VALUES.get(name, name),
            args=_freeze(args, op),
            kwargs=frozen,
            inputs=tuple(form.meta for form in forms),
            outputs=tuple(forms[index].meta for index in written) + tuple(fresh),
            mutates=written,
        )
        entry.link = ((name, entry.template.args[1:], frozen),)
        entry.index = self.add(entry.template)
        return entry


def _written(op: Any, args: Any, kwargs: Any, made: list[Tensor]) -> tuple[int, ...]:
    written: list[int] = []
    for position, argument in enumerate(op._schema.arguments):
        if argument.alias_info is None or not argument.alias_info.is_write:
            continue
        given = args[position] if position < len(args) else kwargs.get(argument.name)
        for one in given if isinstance(given, (list, tuple)) else [given]:
            written.extend(index for index, fake in enumerate(made) if fake is one)
    return tuple(written)


def _kind(op: Any, result: Any, written: tuple[int, ...]) -> Kind:
    if written:
        return Kind.WRITE
    # Its schema does not say so, but it shares memory, and some of torch's `out=` variants write through it.
    if op is _UNSAFE_VIEW or any(one.alias_info is not None for one in op._schema.returns):
        return Kind.VIEW
    return Kind.ONE if isinstance(result, Tensor) else Kind.MANY


def _fill(arguments: Any, supply: Any) -> Any:
    if arguments is INPUT:
        return supply()
    if isinstance(arguments, (tuple, list)):
        return [_fill(argument, supply) for argument in arguments]
    return arguments


def _freeze(arguments: Any, op: Any) -> Any:
    if type(arguments) is float and not has_static_floats(op):
        return FLOAT
    if isinstance(arguments, (tuple, list)):
        return tuple(_freeze(argument, op) for argument in arguments)
    return arguments
