"""A model that was read from an archive: parameters by their old names, and what to compute with them."""

__all__ = ["ArchivedModel"]

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from outgrow.evolve.archive.call import CallForm
from outgrow.evolve.archive.program import GraphUnreadable, Program, read_program
from outgrow.evolve.archive.structure import nested
from outgrow.evolve.edits.edit import Edit


class _Part(nn.Module):
    """A place for parameters that stood there in the model."""


class ArchivedModel(nn.Module):
    """What `evolve.load` gives: called, trained, switched with `train()` and `eval()`, moved and saved as the
    model was; `state_dict()` has the model's names. Only the mode of the whole counts, not that of parts.
    """

    def __init__(
        self,
        weights: Mapping[str, tuple[Tensor, str, bool]],
        aliases: Mapping[str, str],
        constants: Mapping[str, Tensor],
        *,
        call: CallForm,
        graphs: Mapping[str, Any],
        edits: Sequence[Edit] = (),
    ) -> None:
        """`weights` gives each its tensor, its kind (`parameter` or `buffer`) and whether it needs a gradient
        or is persistent; `aliases` are further names of some of them; all as the archive lists them."""
        super().__init__()
        self.edits = tuple(edits)
        """What was done to the model before it was saved."""
        self._call, self._graphs = call, graphs
        self._programs: dict[tuple[str, torch.device], Program] = {}
        self._names: dict[str, tuple[nn.Module, str]] = {}
        for name, (tensor, kind, flag) in weights.items():
            part, last = self._part(name)
            if kind == "parameter":
                part.register_parameter(last, nn.Parameter(tensor, requires_grad=flag))
            else:
                part.register_buffer(last, tensor, persistent=flag)
            self._names[name] = (part, last)
        for name, other in aliases.items():
            part, last = self._part(name)
            holder, theirs = self._names[other]
            if theirs in holder._parameters:
                part.register_parameter(last, holder._parameters[theirs])
            else:
                is_persistent = theirs not in holder._non_persistent_buffers_set
                part.register_buffer(last, holder._buffers[theirs], persistent=is_persistent)
            self._names[name] = (part, last)
        self._constants = _Part()
        self._constant_names = {name: f"constant_{number}" for number, name in enumerate(constants)}
        for name, tensor in constants.items():
            self._constants.register_buffer(self._constant_names[name], tensor, persistent=False)

    def _part(self, name: str) -> tuple[nn.Module, str]:
        """The module that holds a weight, made where it is not there yet, and the weight's own name."""
        part: nn.Module = self
        *parents, last = name.split(".")
        for parent in parents:
            if parent not in part._modules:
                part.add_module(parent, _Part())
            part = part.get_submodule(parent)
        return part, last

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        """Compute what the model computed.

        Raises:
            InputError: it is not called as it was saved.
        """
        leaves = self._call.leaves(args, kwargs)
        graph = self._graphs["train" if self.training else "eval"]
        values = [self._value(kind, key, leaves) for kind, key in graph["sources"]]
        outputs = self._program(leaves[0].device).run(values)
        mutated = graph["mutated"]
        with torch.no_grad():
            for name, value in zip(mutated, outputs, strict=False):
                self._value("weight", name, leaves).copy_(value)
        return nested(graph["structure"], outputs[len(mutated) :])

    def weights(self) -> dict[str, Tensor]:
        """Parameters and buffers by the names that they had, a tied one by its first."""
        found = {name: tensor.detach() for name, tensor in self.named_parameters()}
        own = {id(buffer) for buffer in self._constants.buffers()}
        return found | {name: buffer for name, buffer in self.named_buffers() if id(buffer) not in own}

    def check(self, torch_version: str) -> None:
        """Make sure that both graphs can be run by this torch; `torch_version` wrote them.

        Raises:
            GraphUnreadable: they cannot.
        """
        for graph in self._graphs.values():
            try:
                read_program(graph, torch.device("cpu"))
            except GraphUnreadable as err:
                raise GraphUnreadable(
                    f"{err.message}; it was written by torch {torch_version}", hint=err.hint
                ) from err

    def _value(self, kind: str, key: Any, leaves: Sequence[Tensor]) -> Tensor:
        if kind == "input":
            return leaves[int(key)]
        if kind == "constant":
            constant: Tensor = getattr(self._constants, self._constant_names[key])
            return constant
        part, name = self._names[key]
        tensor: Tensor = getattr(part, name)
        return tensor

    def _program(self, device: torch.device) -> Program:
        key = ("train" if self.training else "eval", device)
        if key not in self._programs:
            self._programs[key] = read_program(self._graphs[key[0]], device)
        return self._programs[key]
