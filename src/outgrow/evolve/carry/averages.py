"""A running average of a model's weights follows by the same change, with the average's own values."""

__all__ = ["averaged", "check_average", "follow_with_average"]

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel

from outgrow.errors import InputError
from outgrow.evolve.carry.refused import CannotFollow
from outgrow.evolve.carry.wrappers import unwrapped
from outgrow.evolve.edits.promise import Promised, check_promise, outputs_before
from outgrow.evolve.example_inputs import ExampleInputs
from outgrow.evolve.surgery.surgery import Surgery
from outgrow.evolve.transactions.random_state import RandomState


def averaged(ema: Any) -> nn.Module:
    """The model inside an average.

    Raises:
        InputError: it is neither an `AveragedModel` nor a module.
    """
    if not isinstance(ema, nn.Module):
        raise InputError(
            f"ema is a {type(ema).__name__}",
            hint="give a torch.optim.swa_utils.AveragedModel, or a copy that you average yourself",
        )
    return unwrapped(ema.module if isinstance(ema, AveragedModel) else ema)


def check_average(model: nn.Module, ema: Any) -> None:
    """See that an average is one of this model; nothing is changed.

    Raises:
        InputError: its weights have other names or shapes.
    """
    inner = averaged(ema)
    if inner is model:
        raise InputError("ema is the model itself", hint="give an average with weights of its own")
    mine = {
        name: tensor.shape for name, tensor in model.state_dict(keep_vars=True).items() if _is_tensor(tensor)
    }
    own = {
        name: tensor.shape for name, tensor in inner.state_dict(keep_vars=True).items() if _is_tensor(tensor)
    }
    different = [name for name in {**mine, **own} if mine.get(name) != own.get(name)]
    if different:
        name = different[0]
        raise InputError(
            f"ema is no average of this model: {name!r} has shape {_shape(own, name)} in the average and "
            f"{_shape(mine, name)} in the model",
            hint="give the average at every change, so that it follows each of them",
        )


def follow_with_average(
    surgery: Surgery,
    ema: Any,
    change: Callable[[Surgery], object],
    *,
    inputs: ExampleInputs,
    promise: str | Promised,
    random_state: RandomState,
) -> None:
    """Make the same change to an average; `surgery.take_back()` undoes it, too.

    Args:
        surgery: the change of the model.
        ema: the average.
        change: what was done to the model; done again, with the same random numbers.
        inputs: what the promise is checked with.
        promise: what holds for the outputs of the average, too.
        random_state: as it was before the change of the model.

    Raises:
        NotExact: the outputs of the average moved further than `promise` allows.
        CannotFollow: the change would tie the average to the model.
    """
    inner = averaged(ema)
    moved = _on_device_of(inner, inputs)
    before = outputs_before(inner, moved)
    own = Surgery(inner)
    surgery.on_take_back(own.take_back)
    now = RandomState.now()
    random_state.put_back()
    try:
        change(own)
    finally:
        now.put_back()
    shared = {id(one) for one in surgery.model.parameters()} & {id(one) for one in inner.parameters()}
    if shared:
        raise CannotFollow(
            "the change gave the model and its average the same new parameters",
            hint="make the change without ema, and a new average after it",
        )
    check_promise(inner, moved, before, promise=promise)


def _is_tensor(value: Any) -> bool:
    return isinstance(value, Tensor)


def _shape(shapes: Mapping[str, torch.Size], name: str) -> str:
    return str(list(shapes[name])) if name in shapes else "none"


def _on_device_of(model: nn.Module, inputs: ExampleInputs) -> ExampleInputs:
    device = next((one.device for one in model.parameters()), None)

    def moved(value: Any) -> Any:
        return value.to(device) if isinstance(value, Tensor) and device is not None else value

    return ExampleInputs(
        args=tuple(map(moved, inputs.args)),
        kwargs={key: moved(value) for key, value in inputs.kwargs.items()},
    )
