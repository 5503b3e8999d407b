"""One batch, whatever form a loader gives it in, and the loss that it is trained for."""

__all__ = [
    "Batch",
    "EmptyLoader",
    "Objective",
    "UnknownBatch",
    "batches_of",
    "inputs_for",
    "own_loss",
    "read_batch",
    "with_loss",
]

import dataclasses
import inspect
import itertools
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from outgrow.errors import InputError
from outgrow.evolve.edits.outputs import output_tensors
from outgrow.evolve.example_inputs import ExampleInputs

_TARGETS = ("labels", "label", "targets", "target", "y")
_ACCEPTED = (
    "accepted are (inputs, target), a dict of keyword arguments with or without 'labels' (as Hugging Face "
    "loaders give), (dict, target) and a single tensor"
)


class UnknownBatch(InputError):
    """A loader gave something that is no batch in any of the known forms."""


class EmptyLoader(InputError):
    """A loader gave nothing at all."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Batch:
    """One batch, in the one form that the rest of the room reads."""

    inputs: ExampleInputs
    """What the model is called with; without the target, unless the model takes that itself."""
    target: Tensor | None = None
    """What it should give; None where the batch has no target of its own."""

    @property
    def size(self) -> int:
        """How many samples: the first dim of the first tensor that has one."""
        for value in (*self.inputs.args, *self.inputs.kwargs.values()):
            if isinstance(value, Tensor) and value.dim():
                return value.shape[0]
        return 1

    def to(self, device: torch.device | str) -> "Batch":
        """The same batch on another device; tensors that are there already are not copied."""
        args = tuple(_moved(value, device) for value in self.inputs.args)
        kwargs = {name: _moved(value, device) for name, value in self.inputs.kwargs.items()}
        target = None if self.target is None else self.target.to(device)
        return Batch(inputs=ExampleInputs(args=args, kwargs=kwargs), target=target)


class Objective(Protocol):
    """What is trained for."""

    def __call__(self, model: nn.Module, batch: Batch) -> Tensor:
        """The mean loss of `model` on `batch`: one number, with a graph where gradients are on."""


def read_batch(given: Any) -> Batch:
    """Understand what a loader gives.

    `(inputs, target)`, `(dict, target)`, a dict (its entry `labels`, `label`, `targets`, `target` or `y` is
    the target; `labels` stays an argument as well, for models that compute their own loss), one tensor, or
    a list or tuple of one of them.

    Raises:
        UnknownBatch: it is none of them; says what it is and what is accepted.
    """
    if isinstance(given, Batch):
        return given
    if isinstance(given, Tensor):
        return Batch(inputs=ExampleInputs(args=(given,), kwargs={}))
    if isinstance(given, Mapping) and any(isinstance(value, Tensor) for value in given.values()):
        return _from_mapping(given)
    if isinstance(given, tuple | list) and len(given) == 1:
        return read_batch(given[0])
    if isinstance(given, tuple | list) and len(given) == 2 and isinstance(given[1], Tensor):
        inputs, target = given
        if isinstance(inputs, Tensor):
            return Batch(inputs=ExampleInputs(args=(inputs,), kwargs={}), target=target)
        if isinstance(inputs, Mapping):
            return Batch(inputs=ExampleInputs(kwargs=dict(inputs)), target=target)
    raise UnknownBatch(f"the loader gave {_described(given)}", hint=_ACCEPTED)


def batches_of(
    loader: Iterable[Any], *, device: torch.device | str | None = None, count: int | None = None
) -> Iterator[Batch]:
    """The batches of a loader, at most `count`, moved to `device`.

    Raises:
        EmptyLoader: it gives none.
        UnknownBatch: it gives something else.
    """
    if not hasattr(loader, "__iter__") and not hasattr(loader, "__getitem__"):
        raise UnknownBatch(
            f"a {type(loader).__name__} is no loader", hint="give a DataLoader, or a list of batches"
        )
    found = False
    for given in itertools.islice(loader, count):
        found = True
        batch = read_batch(given)
        yield batch if device is None else batch.to(device)
    if not found and count != 0:
        raise EmptyLoader(
            "the loader gave no batch",
            hint="an iterator is read only once, and drop_last leaves nothing of less than one batch",
        )


def own_loss(model: nn.Module, batch: Batch) -> Tensor:
    """The model's own loss where it gives one (Hugging Face, with `labels`), the cross entropy else.

    Logits are `[batch, classes]`, `[batch, classes, ...]` or `[batch, seq, classes]`; targets are class
    indices, and -100 is passed over. Targets are not shifted: a language model shifts its `labels` itself.

    Raises:
        InputError: there is neither a loss nor a target that a cross entropy can be computed of.
    """
    output = _call(model, batch)
    loss = output.get("loss") if isinstance(output, Mapping) else getattr(output, "loss", None)
    if isinstance(loss, Tensor):
        return loss.mean()
    return _cross_entropy(_logits(output), batch.target)


def with_loss(loss: Callable[[Any, Any], Tensor]) -> Objective:
    """An objective of a function of output and target, as `nn.CrossEntropyLoss()` is one."""

    def objective(model: nn.Module, batch: Batch) -> Tensor:
        return loss(_call(model, batch), batch.target).mean()

    return objective


def _from_mapping(given: Mapping[str, Any]) -> Batch:
    kwargs = dict(given)
    name = next((name for name in _TARGETS if isinstance(kwargs.get(name), Tensor)), None)
    target = None if name is None else kwargs[name]
    if name is not None and name != "labels":
        del kwargs[name]
    return Batch(inputs=ExampleInputs(kwargs=kwargs), target=target)


def inputs_for(model: nn.Module, batch: Batch) -> ExampleInputs:
    """What `model` is called with for this batch: `labels` only where its `forward` takes them."""
    kwargs = dict(batch.inputs.kwargs)
    if "labels" in kwargs and not _takes(model, "labels"):
        del kwargs["labels"]
    return ExampleInputs(args=batch.inputs.args, kwargs=kwargs)


def _call(model: nn.Module, batch: Batch) -> Any:
    return inputs_for(model, batch).call(model)


def _takes(model: nn.Module, name: str) -> bool:
    parameters = inspect.signature(model.forward).parameters
    return name in parameters or any(one.kind is one.VAR_KEYWORD for one in parameters.values())


def _logits(output: Any) -> Tensor:
    if isinstance(output, Tensor):
        return output
    logits = output.get("logits") if isinstance(output, Mapping) else getattr(output, "logits", None)
    if isinstance(logits, Tensor):
        return logits
    tensors = list(output_tensors(output).values())
    if len(tensors) == 1:
        return tensors[0]
    raise InputError(
        f"the model gives a {type(output).__name__} with {len(tensors)} tensors, and none is called logits",
        hint="give an objective: a function of the model and a batch that gives the loss",
    )


def _cross_entropy(logits: Tensor, target: Tensor | None) -> Tensor:
    if target is None:
        raise InputError(
            "the batch has no target and the model gives no loss of its own",
            hint=f"give an objective, or batches with a target: {_ACCEPTED}",
        )
    if target.is_floating_point():
        raise InputError(
            f"the target is {_described(target)}, and a cross entropy needs the indices of classes",
            hint="give an objective, for example with_loss(torch.nn.MSELoss())",
        )
    if logits.shape[:-1] == target.shape:
        return F.cross_entropy(logits.flatten(0, -2), target.flatten().long())
    if logits.dim() >= 2 and (logits.shape[0], *logits.shape[2:]) == tuple(target.shape):
        return F.cross_entropy(logits, target.long())
    raise InputError(
        f"logits {list(logits.shape)} and target {list(target.shape)} do not belong together",
        hint="logits are [batch, classes] or [batch, seq, classes] and targets the same without classes",
    )


def _moved(value: Any, device: torch.device | str) -> Any:
    if isinstance(value, Tensor):
        return value.to(device)
    if isinstance(value, Mapping):
        return {key: _moved(part, device) for key, part in value.items()}
    if isinstance(value, tuple) and hasattr(value, "_fields"):
        return type(value)(*(_moved(part, device) for part in value))
    if isinstance(value, tuple | list):
        return type(value)(_moved(part, device) for part in value)
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        parts = {
            field.name: _moved(getattr(value, field.name), device) for field in dataclasses.fields(value)
        }
        return dataclasses.replace(value, **parts)
    return value


def _described(value: Any, depth: int = 2) -> str:
    if isinstance(value, Tensor):
        return f"a {str(value.dtype).removeprefix('torch.')} tensor {list(value.shape)} on {value.device}"
    if isinstance(value, tuple | list) and depth:
        parts = ", ".join(_described(part, depth - 1) for part in value[:4])
        more = ", ..." if len(value) > 4 else ""
        return f"a {type(value).__name__} of {len(value)} ({parts}{more})"
    if isinstance(value, Mapping) and depth:
        parts = ", ".join(f"{key!r}: {_described(part, depth - 1)}" for key, part in list(value.items())[:4])
        return f"a {type(value).__name__} of {len(value)} ({parts})"
    return f"a {type(value).__name__}"
