"""Whether a model can be looked at with these inputs at all, said before anything is done to it."""

__all__ = ["check_ready", "does_not_run"]

import inspect
from typing import Any

from torch import Tensor, nn
from torch.utils._pytree import tree_flatten_with_path

from outgrow.errors import InputError
from outgrow.evolve.carry.wrappers import check_changeable
from outgrow.evolve.errors import CannotCheck
from outgrow.evolve.example_inputs import ExampleInputs


def check_ready(model: nn.Module, inputs: ExampleInputs) -> None:
    """See that `model` has real weights, and takes `inputs`, on the device where they are.

    Raises:
        InputError: so.
    """
    check_changeable(model)
    devices: dict[Any, str] = {}
    for name, tensor in [*model.named_parameters(), *model.named_buffers()]:
        if tensor.is_meta:
            raise InputError(f"{name} is on the meta device", hint="load the model's weights first")
        devices.setdefault(tensor.device, name)
    _check_signature(model, inputs)
    for path, tensor in tree_flatten_with_path((inputs.args, dict(inputs.kwargs)))[0]:
        if isinstance(tensor, Tensor) and devices and tensor.device not in devices:
            device, weight = next(iter(devices.items()))
            raise InputError(
                f"{_input_name(path)} is on {tensor.device}, and {weight} is on {device}",
                hint=f"move the example inputs to {device}",
            )


def _check_signature(model: nn.Module, inputs: ExampleInputs) -> None:
    signature = inspect.signature(model.forward)
    try:
        signature.bind(*inputs.args, **inputs.kwargs)
    except TypeError as error:
        given = [f"{len(inputs.args)} positional"] if inputs.args else []
        given += [f"{name}=" for name in inputs.kwargs]
        raise InputError(
            f"the model does not take these inputs ({', '.join(given) or 'none'}): {error}",
            hint=f"its forward takes {signature}",
        ) from error


def _input_name(path: Any) -> str:
    whole, *rest = path
    keys = [str(getattr(key, "key", getattr(key, "idx", key))) for key in rest]
    is_keyword = getattr(whole, "idx", 0) == 1
    return keys[0] if is_keyword else f"example input {keys[0] if keys else 0}"


def does_not_run(model: nn.Module, error: Exception) -> CannotCheck:
    """What to tell of a model that raised `error` when it was called with the example inputs."""
    return CannotCheck(
        f"{type(model).__name__} does not run with these inputs: {type(error).__name__}: {error}",
        hint=f"call model(...) with them yourself; its forward takes {inspect.signature(model.forward)}",
    )
