"""Run a model once and write down which dims of its weights have to change together."""

__all__ = ["Count", "Trace", "Use", "op_name"]

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torch.utils.weak import WeakTensorKeyDictionary

from outgrow.capture import Call, watch
from outgrow.evolve.coupling.extent import Extent
from outgrow.evolve.coupling.labels import Labels

Role = Literal["in", "out"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Use:
    """One way in which the model used one dim of one weight."""

    weight: str
    """Qualified name of the parameter or buffer."""
    dim: int | None
    """Which of its dims; None where that is not known."""
    extent: Extent
    """The indices that were used so."""
    role: Role
    """`in` where an activation is contracted with the weight over them, `out` for everything else."""
    module: str
    """Qualified name of the module that ran."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Count:
    """An attribute of a module that says how long an extent is."""

    module: str
    """Qualified name."""
    attribute: str
    """`groups`, `num_groups`."""
    extent: Extent
    """What it counts."""


class Trace:
    """What one run of a model told: the labels of every weight, and how each was used.

    The model runs as it is, on real numbers; every ATen op is looked up in `RULES`, and what has no rule
    freezes whatever flows into it. So an op that is not known makes sites fewer, never wrong.
    """

    def __init__(self, model: nn.Module) -> None:
        self.weights: dict[str, Labels] = {}
        self.uses: list[Use] = []
        self.counts: list[Count] = []
        self.reached: set[str] = set()
        """Weights that flowed into an op of which nothing is known."""
        self._labels: Any = WeakTensorKeyDictionary()
        self._places: dict[object, Labels] = {}
        self._modules: list[str] = []
        named = [*model.named_parameters(), *model.named_buffers()]
        for name, tensor in named:
            extents = tuple(_weight_extent(size) for size in tensor.shape)
            labels = Labels(extents=extents, weight=name, dims=tuple(range(tensor.dim())))
            self.weights[name] = labels
            self._labels[tensor] = labels
            if tensor.numel() and not tensor.is_meta:
                other = self._places.setdefault(_place(tensor), labels)
                if other is not labels:  # tied by `one.data = other.data`: new contents would part them
                    other.frozen(f"shares its memory with {name}")
                    labels.frozen(f"shares its memory with {other.weight}")

    @property
    def module(self) -> str:
        """Qualified name of the module that runs now; empty for the model itself."""
        return self._modules[-1] if self._modules else ""

    @property
    def who(self) -> str:
        """The same in a sentence."""
        return self.module or "the model"

    def run(self, model: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """Call the model and follow it; gives what it returned."""
        for tensor in tree_leaves((args, kwargs)):
            if isinstance(tensor, Tensor):
                self.label(tensor, self.fresh(tensor, "comes from the inputs"))
        self._modules.clear()
        with watch(model, enter=self._enter, leave=self._leave), _Following(self):
            return model(*args, **kwargs)

    def _enter(self, call: Call) -> None:
        self._modules.append(call.name)

    def _leave(self, _call: Call, _output: Any, _error: BaseException | None) -> None:
        self._modules.pop()

    def labels(self, tensor: Tensor) -> Labels:
        """What is known of a tensor; of one that nobody has seen, that it is fixed.

        `weight.data` is another tensor, and no op makes it; it is known by its place in memory.
        """
        known = self._labels.get(tensor)
        if known is not None and len(known.extents) != tensor.dim():  # changed in place
            known.frozen(f"{self.who} changes its shape in place")
            known = None
        if known is None:
            known = self._places.get(_place(tensor)) if tensor.numel() else None
            known = known or self.fresh(tensor, "is made within the model")
            self._labels[tensor] = known
        return known  # type: ignore[no-any-return]

    def label(self, tensor: Tensor, labels: Labels) -> None:
        """Say what a tensor is."""
        assert len(labels.extents) == tensor.dim(), (self.module, tensor.shape, labels)
        self._labels[tensor] = labels

    def fresh(self, tensor: Tensor, why: str) -> Labels:
        """Labels of a tensor whose dims have nothing to do with any weight."""
        return Labels(extents=tuple(Extent(size, frozen=why) for size in tensor.shape))

    def use(self, labels: Labels, dim: int, role: Role, extent: Extent | None = None) -> None:
        """Note that a dim of a weight was used; nothing happens where `labels` are of no weight."""
        if labels.weight is None:
            return
        chosen = labels.extents[dim] if extent is None else extent
        if labels.dims[dim] is None:
            chosen.freeze(f"{self.who} looks at {labels.weight} in a way nobody can undo")
        self.uses.append(
            Use(weight=labels.weight, dim=labels.dims[dim], extent=chosen, role=role, module=self.module)
        )

    def use_all(self, labels: Labels, role: Role = "out") -> None:
        """Note that every dim of a weight was used alike."""
        for dim in range(len(labels.extents)):
            self.use(labels, dim, role)

    def unify(self, one: Extent, two: Extent) -> None:
        """Make two extents one; a single index is nobody's."""
        if one.size == two.size == 1:
            return
        one.unify(two, self.who)

    def contract(self, one: Labels, dim: int, two: Labels, other: int) -> None:
        """Note that two tensors are multiplied and summed over a dim of each."""
        mine, theirs = one.extents[dim], two.extents[other]
        self.unify(mine, theirs)
        consumers = [each.weight is not None for each in (one, two)]
        if all(consumers):  # learned queries, tables: the layer that runs now reads them
            consumers = [self._is_own(each) for each in (one, two)]
        if sum(consumers) != 1:
            what = "two activations" if one.weight is None else "two weights"
            mine.freeze(f"{self.who} multiplies {what} over it")
        self.use(one, dim, "in" if consumers[0] else "out")
        self.use(two, other, "in" if consumers[1] else "out")

    def _is_own(self, labels: Labels) -> bool:
        return labels.weight is not None and labels.weight.rpartition(".")[0] == self.module

    def count(self, attribute: str, extent: Extent) -> None:
        """Note that an attribute of the module that runs now counts an extent."""
        self.counts.append(Count(module=self.module, attribute=attribute, extent=extent))

    def refuse(self, tensors: Sequence[Tensor], why: str) -> None:
        """Fix the size of every dim of these tensors."""
        for tensor in tensors:
            labels = self.labels(tensor).frozen(why)
            if labels.weight is not None:
                self.reached.add(labels.weight)


def _place(tensor: Tensor) -> object:
    return tensor.data_ptr(), tensor.shape, tensor.stride(), tensor.dtype


def op_name(func: Any) -> str:
    """What an ATen op is called, without its overload."""
    return str(func._schema.name).removeprefix("aten::")


def _weight_extent(size: int) -> Extent:
    # A single index may be broadcast, and several may not.
    return Extent(size, frozen="has one index only" if size == 1 else None)


class _Following(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Hands every op to its rule after it ran."""

    def __init__(self, trace: Trace) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._trace = trace

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        from outgrow.evolve.coupling.rules import follow

        kwargs = kwargs or {}
        with torch.no_grad():
            results = func(*args, **kwargs)
        follow(self._trace, func, args, kwargs, results)
        return results
