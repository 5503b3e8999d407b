"""Let entries that came later take the steps that a new optimizer would take.

Around `optimizer.step()`, where a parameter has cohorts (see `cohorts`): their entries are copied before it,
and after it the same optimizer's own `step` is run on the copies, with the cohort's own scalars; what comes
out is put in place. All other entries are left as torch's step left them.
"""

__all__ = ["initial_state", "step_cohorts_apart"]

from collections import OrderedDict, defaultdict
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, optim
from torch.optim.optimizer import register_optimizer_step_pre_hook

from outgrow.evolve.carry.cohorts import KEY, Box, boxes, oldest_retired
from outgrow.evolve.carry.saturation import is_saturated

_HOOKED, _SAVED, _BOXES = "_outgrow_hooked", "_outgrow_saved", "_outgrow_boxes"


@dataclass(frozen=True, slots=True, kw_only=True)
class _Copy:
    """Entries of a cohort before a step."""

    group: dict[str, Any]
    parameter: Tensor
    box: Box
    values: Tensor
    moments: dict[str, Tensor]


def step_cohorts_apart(optimizer: optim.Optimizer, *_: Any) -> None:
    """Hook an optimizer of which some parameters have cohorts; do nothing else with any other.

    This is registered for all optimizers of the process, once, because neither `deepcopy` nor
    `load_state_dict` takes an optimizer's own hooks along, and cohorts that are not stepped apart would be
    corrected wrongly without a word.
    """
    if optimizer.__dict__.get(_HOOKED) or not any(KEY in group for group in optimizer.param_groups):
        return
    optimizer.__dict__[_HOOKED] = True
    optimizer.register_step_pre_hook(_save)
    after = optimizer.register_step_post_hook(_redo)
    # Before whatever hooks of the user see the parameters.
    optimizer._optimizer_step_post_hooks.move_to_end(after.id, last=False)  # type: ignore[attr-defined]


@torch.no_grad()
def _save(optimizer: optim.Optimizer, *_: Any) -> None:
    copies = []
    for group in optimizer.param_groups:
        if KEY not in group:
            continue
        for parameter in group["params"]:
            state = optimizer.state.get(parameter, {})
            if KEY not in state:
                continue
            scalars = state[KEY]["scalars"]
            for box in _known_boxes(optimizer, parameter, state[KEY]):
                begun = bool(scalars[box.cohort - 1])
                moments = {
                    name: box.of(value)
                    for name, value in state.items()
                    if begun and isinstance(value, Tensor) and value.shape == parameter.shape
                }
                copies.append(
                    _Copy(
                        group=group, parameter=parameter, box=box, values=box.of(parameter), moments=moments
                    )
                )
    optimizer.__dict__[_SAVED] = copies


def _known_boxes(optimizer: optim.Optimizer, parameter: Tensor, record: dict[str, Any]) -> list[Box]:
    # Records are exchanged, never changed, but for their scalars.
    known = optimizer.__dict__.setdefault(_BOXES, {})
    found = known.get(parameter)
    if found is None or found[0] is not record:
        found = record, [box.to(parameter.device) for box in boxes(record)]
        known[parameter] = found
    return list(found[1])


@torch.no_grad()
def _redo(optimizer: optim.Optimizer, *_: Any) -> None:
    copies: list[_Copy] = [
        each for each in optimizer.__dict__.pop(_SAVED, []) if each.parameter.grad is not None
    ]
    found_inf = getattr(optimizer, "found_inf", None)
    if not copies or (found_inf is not None and bool(found_inf)):
        return
    # An optimizer of the same class and settings, of these entries alone.
    apart = object.__new__(type(optimizer))
    apart.__dict__.update(optimizer.__dict__)
    for name in ("found_inf", "grad_scale"):
        apart.__dict__.pop(name, None)
    apart.state = defaultdict(dict)
    apart.param_groups = [_apart_group(apart, optimizer, each) for each in copies]
    for name in ("_optimizer_step_pre_hooks", "_optimizer_step_post_hooks"):
        setattr(apart, name, OrderedDict())
    step: Any = type(optimizer).step
    # Without the hooks that torch puts around it: those are for the user's own step.
    (step.__wrapped__ if getattr(step, "hooked", False) else step)(apart)
    for each, group in zip(copies, apart.param_groups, strict=True):
        (entries,) = group["params"]
        _put(optimizer, each, entries, apart.state[entries])
    for each in {id(each.parameter): each for each in copies}.values():
        _retire(optimizer, each)


def _apart_group(apart: optim.Optimizer, optimizer: optim.Optimizer, each: _Copy) -> dict[str, Any]:
    entries = torch.nn.Parameter(each.values, requires_grad=each.parameter.requires_grad)
    assert each.parameter.grad is not None
    entries.grad = each.box.of(each.parameter.grad)
    scalars = optimizer.state[each.parameter][KEY]["scalars"][each.box.cohort - 1]
    own = {name: value.clone() if isinstance(value, Tensor) else value for name, value in scalars.items()}
    state = {**each.moments, **own} or initial_state(each.group, entries)
    if state:
        apart.state[entries] = state
    return {**each.group, "params": [entries]}


def initial_state(group: dict[str, Any], entries: Tensor) -> dict[str, Any]:
    """What an optimizer sets up when it is made, as Adagrad alone does; all others do at their first step."""
    if "initial_accumulator_value" not in group:
        return {}
    full = torch.full_like(entries, group["initial_accumulator_value"], memory_format=torch.preserve_format)
    return {"step": torch.tensor(0.0), "sum": full}


def _put(optimizer: optim.Optimizer, each: _Copy, entries: Tensor, state: dict[str, Any]) -> None:
    each.box.put(each.parameter, entries)
    whole = optimizer.state[each.parameter]
    scalars = whole[KEY]["scalars"][each.box.cohort - 1]
    for name, value in state.items():
        place = whole.get(name)
        if isinstance(place, Tensor) and place.shape == each.parameter.shape:
            each.box.put(place, value)
        else:
            scalars[name] = value


def _retire(optimizer: optim.Optimizer, each: _Copy) -> None:
    state = optimizer.state[each.parameter]
    count = 0
    for scalars in state[KEY]["scalars"]:
        if not is_saturated(optimizer, each.group, scalars):
            break
        count += 1
    if not count:
        return
    record = oldest_retired(state[KEY], count)
    if record is not None:
        state[KEY] = record
        return
    del state[KEY]
    optimizer.__dict__[_BOXES].pop(each.parameter, None)
    if not any(KEY in optimizer.state.get(one, {}) for one in each.group["params"]):
        each.group.pop(KEY, None)


register_optimizer_step_pre_hook(step_cohorts_apart)
