"""Which dims of which weights change together, and what speaks against changing them."""

__all__ = ["Coupling", "Occurrence", "every_op_of_its_own", "find_coupling"]

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor, nn

from outgrow.evolve.carry.readiness import check_ready, does_not_run
from outgrow.evolve.coupling.constrained import constrained_weights
from outgrow.evolve.coupling.extent import Extent, Reduction
from outgrow.evolve.coupling.norms import Norm, recognise_norm
from outgrow.evolve.coupling.trace import Trace, Use
from outgrow.evolve.edits.outputs import output_tensors
from outgrow.evolve.errors import CannotCheck
from outgrow.evolve.example_inputs import ExampleInputs
from outgrow.evolve.transactions.undisturbed import undisturbed


@dataclass(frozen=True, slots=True, kw_only=True)
class Occurrence:
    """A dim of a weight in which a leaf occurs."""

    weight: str
    """Qualified name of the parameter or buffer, the first of its names."""
    dim: int
    """Which of its dims."""
    roles: frozenset[str]
    """`in` where activations are contracted with it over the leaf, `out` else; both for tied weights."""


class Coupling:
    """The leaves of a model's weights, in the order in which they were first used."""

    def __init__(self, model: nn.Module, trace: Trace) -> None:
        self._model = model
        self.weights = {name: labels.extents for name, labels in trace.weights.items()}
        self.counts = tuple(trace.counts)
        self._uses = trace.uses
        used = {use.weight for use in trace.uses} | trace.reached
        self.unreached = frozenset(name for name, _ in model.named_parameters() if name not in used)
        """Parameters that no run used."""
        self._frozen: dict[int, str] = {}
        self._reduced: dict[int, set[Reduction]] = {}
        self._norms: dict[int, tuple[Norm, ...]] = {}
        for name, why in constrained_weights(model).items():
            for extent in self.weights.get(name, ()):
                extent.freeze(why)
        for extents in self.weights.values():
            for extent in extents:
                self._settle(extent, None, set())

    def _settle(self, extent: Extent, frozen: str | None, reduced: set[Reduction]) -> None:
        """Whatever is said of a whole holds for its parts."""
        found = extent.find()
        frozen, reduced = found.frozen or frozen, reduced | found.reduced_by
        if found.shape == "product":
            leaves = [{id(leaf) for leaf in part.leaves()} for part in found.parts]
            for leaf in set.union(*leaves):  # an outer product of units with themselves: no unit has places
                if sum(leaf in each for each in leaves) > 1:
                    self._frozen.setdefault(leaf, "is multiplied by itself")
        if found.shape == "leaf":
            if frozen is not None:
                self._frozen.setdefault(id(found), frozen)
            self._reduced.setdefault(id(found), set()).update(reduced)
        for part in found.parts:
            self._settle(part, frozen, reduced)

    def tensors(self) -> dict[str, Tensor]:
        """Every parameter and buffer of the model by the first of its names."""
        return dict([*self._model.named_parameters(), *self._model.named_buffers()])

    @cached_property
    def leaves(self) -> tuple[Extent, ...]:
        """Every leaf once."""
        order = [use.extent for use in self._uses]
        order += [extent for extents in self.weights.values() for extent in extents]
        return tuple({id(leaf): leaf for extent in order for leaf in extent.leaves()}.values())

    def why_frozen(self, leaf: Extent) -> str | None:
        """Why the size of a leaf cannot change; None where it can."""
        return self._frozen.get(id(leaf))

    def reduced_by(self, leaf: Extent) -> frozenset[str]:
        """Qualified names of the modules that compute a statistic along a leaf."""
        return frozenset(one.module for one in self.reductions(leaf))

    def reductions(self, leaf: Extent) -> frozenset[Reduction]:
        """Every statistic that is computed along a leaf."""
        return frozenset(self._reduced.get(id(leaf), ()))

    def norms(self, leaf: Extent) -> tuple[Norm, ...]:
        """The modules that compute a statistic along a leaf, and what each of them is; in order of name.

        As they were when this was asked first.
        """
        if id(leaf) in self._norms:
            return self._norms[id(leaf)]
        ops: dict[str, set[str]] = {}
        for one in self.reductions(leaf):
            ops.setdefault(one.module, set()).add(one.op)
        modules = {name: self._model.get_submodule(name) for name in sorted(ops)}
        found = tuple(recognise_norm(name, module, ops[name]) for name, module in modules.items())
        self._norms[id(leaf)] = found
        return found

    @property
    def all_uses(self) -> tuple[Use, ...]:
        """Every use of every weight, in order."""
        return tuple(self._uses)

    def uses(self, leaf: Extent) -> list[Use]:
        """How a leaf was used, in order."""
        return list(self._uses_of.get(id(leaf), ()))

    @cached_property
    def _uses_of(self) -> dict[int, list[Use]]:
        found: dict[int, list[Use]] = {}
        for use in self._uses:
            for leaf in {id(one) for one in use.extent.leaves()}:
                found.setdefault(leaf, []).append(use)
        return found

    @cached_property
    def _places_of(self) -> dict[int, list[tuple[str, int]]]:
        found: dict[int, list[tuple[str, int]]] = {}
        for name, extents in self.weights.items():
            for dim, extent in enumerate(extents):
                for leaf in {id(one) for one in extent.leaves()}:
                    found.setdefault(leaf, []).append((name, dim))
        return found

    def occurrences(self, leaf: Extent) -> list[Occurrence]:
        """The dims of weights in which a leaf occurs."""
        roles: dict[tuple[str, int | None], set[str]] = {}
        for use in self.uses(leaf):
            roles.setdefault((use.weight, use.dim), set()).add(use.role)
        return [
            Occurrence(weight=name, dim=dim, roles=frozenset(roles.get((name, dim), {"out"})))
            for name, dim in self._places_of.get(id(leaf), ())
        ]


def _run(trace: Trace, model: nn.Module, inputs: ExampleInputs) -> None:
    try:
        output = trace.run(model, inputs.args, dict(inputs.kwargs))
    except Exception as error:
        raise does_not_run(model, error) from error
    tensors = output_tensors(output)
    if not tensors:
        raise CannotCheck(
            f"{type(model).__name__} gives no tensor for these inputs but {type(output).__name__}",
            hint="what it gives has to hold tensors: alone, or in tuples, lists, dicts or dataclasses",
        )
    for tensor in tensors.values():
        trace.labels(tensor).frozen("is part of what the model gives")


@contextlib.contextmanager
def every_op_of_its_own() -> Iterator[None]:
    """Without the fused layers that `nn.TransformerEncoder` takes where nothing needs a gradient."""
    was_enabled = torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(False)
    try:
        yield
    finally:
        torch.backends.mha.set_fastpath_enabled(was_enabled)


def find_coupling(model: nn.Module, inputs: ExampleInputs) -> Coupling:
    """Run `model` and say which dims of its weights change together; the model is left as it was.

    It runs in eval mode, and where that leaves parameters unused, in train mode, too. What comes out of it
    keeps its shape: its dims are frozen.

    Raises:
        InputError: the model does not take these inputs, or is one that no change can reach.
        CannotCheck: it does not run with them, or gives no tensors.
    """
    check_ready(model, inputs)
    trace = Trace(model)
    with undisturbed(model), torch.enable_grad(), every_op_of_its_own():
        model.eval()
        _run(trace, model, inputs)
        used = {use.weight for use in trace.uses}
        if any(name not in used for name, _ in model.named_parameters()):
            model.train()  # for heads that are there for training only
            with contextlib.suppress(Exception):  # what the model cannot do then couples nothing
                _run(trace, model, inputs)
    return Coupling(model, trace)
