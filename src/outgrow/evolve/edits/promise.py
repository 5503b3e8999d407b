"""What an operator promises of a model's outputs, checked on the spot."""

__all__ = [
    "PROMISES",
    "Checked",
    "Promised",
    "check_allowed",
    "check_promise",
    "outputs_before",
    "refuse_unsteady",
]

import random
from collections.abc import Mapping
from dataclasses import dataclass
from numbers import Real
from typing import Any

import torch
from torch import Tensor, nn

from outgrow.errors import InputError, nearest_names
from outgrow.evolve.edits.outputs import output_tensors, relative_change
from outgrow.evolve.errors import CannotCheck, NotExact
from outgrow.evolve.example_inputs import ExampleInputs
from outgrow.evolve.transactions.undisturbed import undisturbed

PROMISES = ("exact", "bounded", "lossy")
"""From the strictest on."""

_EXACT = {torch.float64: 1e-12, torch.float32: 1e-5, torch.bfloat16: 3e-2, torch.float16: 4e-3}
"""Relative change of the outputs up to which a change counts as rounding."""

Outputs = Mapping[str, Mapping[str, Tensor]]
"""`eval` and, where it can be compared, `train` -> name -> tensor."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Promised:
    """What a change is allowed to be, and what its operator says it is."""

    allow: str = "exact"
    """The weakest promise that the caller permits."""
    claim: str = "exact"
    """What the operator's arithmetic amounts to: `exact`, or `lossy` where only a measurement can tell."""
    bound: float = 0.05
    """The relative change of the outputs up to which a change is `bounded`."""

    def __post_init__(self) -> None:
        check_allowed(self.allow, self.bound)


@dataclass(frozen=True, slots=True, kw_only=True)
class Checked:
    """What was found."""

    promise: str
    """The strictest promise that holds."""
    change: float
    """How far the outputs moved, relatively; the larger one of the modes."""
    modes: tuple[str, ...]
    """Where they were compared: `eval`, `train`."""


def check_allowed(allow: Any, bound: Any) -> None:
    """Refuse a promise that is none, or a bound that is none.

    Raises:
        InputError: so.
    """
    if allow not in PROMISES:
        near = nearest_names(str(allow), PROMISES)
        raise InputError(
            f"allow={allow!r} is no promise",
            hint=f"{', '.join(PROMISES)}" + (f"; did you mean {near[0]!r}?" if near else ""),
        )
    if isinstance(bound, bool) or not isinstance(bound, Real) or not 0 < float(bound) < float("inf"):
        raise InputError(
            f"bound={bound!r} is no relative change of outputs", hint="give a number above 0, such as 0.05"
        )


def outputs_before(model: nn.Module, inputs: ExampleInputs) -> dict[str, dict[str, Tensor]]:
    """What the model gives in eval mode, and as it is where a part of it is in train mode.

    In train mode nothing is compared where random numbers are drawn: a wider model draws others. The model is
    left as it was.

    Raises:
        CannotCheck: there is nothing to compare, it is not finite, or it depends on random numbers.
    """
    outputs, has_drawn = _called(model, inputs, is_eval=True)
    _refuse_unfit(outputs)
    if has_drawn:
        again, _ = _called(model, inputs, is_eval=True, shift=1)
        if relative_change(again, outputs) != 0:
            raise CannotCheck(
                "the outputs depend on random numbers in eval mode, so that no two calls are alike",
                hint="switch the noise off in eval mode (`if self.training:`), or pass it in as an input",
            )
    found = {"eval": outputs}
    if any(module.training for module in model.modules()):
        try:
            training, has_drawn = _called(model, inputs, is_eval=False)
        except torch.OutOfMemoryError:
            raise
        except (RuntimeError, ValueError, TypeError) as error:
            raise CannotCheck(
                f"the model does not run with these inputs in train mode: {type(error).__name__}: {error}",
                hint="give inputs that training takes (BatchNorm needs two rows), or call model.eval() first",
            ) from error
        if not has_drawn:
            _refuse_unfit(training)
            found["train"] = training
    return found


def check_promise(
    model: nn.Module, inputs: ExampleInputs, before: Outputs, *, promise: str | Promised
) -> Checked:
    """How far the outputs have moved, and which promise that is.

    Raises:
        NotExact: further than is allowed, or outputs have another shape or are no longer finite.
    """
    promised = promise if isinstance(promise, Promised) else Promised(allow=promise)
    change = 0.0
    for mode, expected in before.items():
        actual, _ = _called(model, inputs, is_eval=mode == "eval")
        change = max(change, relative_change(actual, expected))
    if change == float("inf"):
        raise NotExact(
            "the outputs have other names or shapes, or are not finite any more",
            hint="the model is as it was; please report this, unless the model was about to overflow",
        )
    rounding = rounding_of(model)
    if promised.claim == "exact" and change <= rounding:
        held = "exact"
    elif change <= promised.bound and promised.allow == "bounded":
        held = "bounded"
    else:
        held = "lossy"
    if PROMISES.index(held) > PROMISES.index(promised.allow):
        limit = promised.bound if promised.allow == "bounded" else rounding
        raise NotExact(
            f"the outputs moved by {change:.1e} relatively, and {limit:.0e} is "
            + ("the bound" if promised.allow == "bounded" else "rounding"),
            hint="the model is as it was; "
            + (
                f"bound={change * 1.1:.1e} or allow='lossy' makes the change all the same"
                if promised.allow == "bounded"
                else "allow='bounded' or allow='lossy' makes the change all the same"
            ),
        )
    return Checked(promise=held, change=change, modes=tuple(before))


def refuse_unsteady(model: nn.Module, inputs: ExampleInputs, before: Outputs) -> None:
    """See whether an unchanged model gives the same as before, after a change seemed to move its outputs.

    Raises:
        CannotCheck: it does not; so the change may not be to blame.
    """
    again, _ = _called(model, inputs, is_eval=True)
    if relative_change(again, before["eval"]) > rounding_of(model):
        raise CannotCheck(
            "the unchanged model gives something else each time: nothing can be compared",
            hint="does it count its calls, or draw from its own generator? make it repeatable in eval mode",
        )


def rounding_of(model: nn.Module) -> float:
    """The relative change that counts as rounding: that of the coarsest dtype among the parameters."""
    dtypes = {parameter.dtype for parameter in model.parameters()} & _EXACT.keys()
    return max((_EXACT[dtype] for dtype in dtypes), default=_EXACT[torch.float32])


def _called(
    model: nn.Module, inputs: ExampleInputs, *, is_eval: bool, shift: int = 0
) -> tuple[dict[str, Tensor], bool]:
    """The outputs, and whether random numbers were drawn for them."""
    with undisturbed(model), torch.no_grad():
        if is_eval:
            model.eval()
        if shift:
            torch.manual_seed(torch.initial_seed() + shift)
            random.seed(shift)
        state = _random_state()
        outputs = output_tensors(inputs.call(model))
        has_drawn = not all(map(_is_same, state, _random_state()))
        return {name: tensor.detach().clone() for name, tensor in outputs.items()}, has_drawn


def _random_state() -> list[Any]:
    cuda = torch.cuda.get_rng_state_all() if torch.cuda.is_initialized() else []  # type: ignore[no-untyped-call]
    return [torch.get_rng_state(), random.getstate(), *cuda]


def _is_same(one: Any, two: Any) -> bool:
    return torch.equal(one, two) if isinstance(one, Tensor) else bool(one == two)


def _refuse_unfit(outputs: Mapping[str, Tensor]) -> None:
    if not any(tensor.numel() for tensor in outputs.values()):
        raise CannotCheck(
            "the model gives no tensor, or empty ones, for the example inputs: nothing can be compared",
            hint="example_inputs have to be inputs for which the model gives outputs",
        )
    for name, tensor in outputs.items():
        # Masks give -inf; it has to stay where it is.
        if tensor.is_floating_point() and not bool(((tensor == -float("inf")) | tensor.isfinite()).all()):
            raise CannotCheck(
                f"{name} holds NaN or Inf before anything has changed: nothing can be compared",
                hint="has training diverged? evolve a model whose outputs are finite",
            )
