"""Optimizers follow a change: moments stay with their entries, new parameters join a neighbour's group."""

__all__ = ["check_optimizers", "enrol_new", "follow_with_optimizer", "optimizers_of"]

from collections.abc import Iterable, Sequence
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn, optim

from outgrow.errors import InputError
from outgrow.evolve.carry.cohorts import KEY, with_reindexing
from outgrow.evolve.carry.refused import CannotFollow
from outgrow.evolve.carry.stepping import initial_state
from outgrow.evolve.surgery.surgery import Replacement, Surgery


def optimizers_of(given: Any) -> tuple[optim.Optimizer, ...]:
    """The optimizers in what a caller gave: None, one, several, or a wrapper around one.

    Raises:
        InputError: something else.
    """
    if given is None:
        return ()
    if isinstance(given, list | tuple):
        return tuple(one for each in given for one in optimizers_of(each))
    inner = getattr(given, "optimizer", None)
    if isinstance(inner, optim.Optimizer) and hasattr(given, "step"):
        return (inner,)
    if not isinstance(given, optim.Optimizer):
        raise InputError(
            f"optimizer is a {type(given).__name__}",
            hint="give a torch.optim.Optimizer, or a list of them",
        )
    return (given,)


def check_optimizers(model: nn.Module, optimizers: Sequence[optim.Optimizer]) -> None:
    """See that the optimizers hold what is trained, and that their state can follow; nothing is changed.

    Raises:
        InputError: they hold only some of the parameters of the model that are trained, or none.
        CannotFollow: an optimizer is of a kind that cannot follow.
    """
    if not optimizers:
        return
    for optimizer in optimizers:
        _check_kind(optimizer)
    held = {
        id(one) for optimizer in optimizers for group in optimizer.param_groups for one in group["params"]
    }
    trained = [(name, one) for name, one in model.named_parameters() if one.requires_grad]
    missing = [name for name, one in trained if id(one) not in held]
    if missing:
        some = f"{len(trained) - len(missing)}" if len(missing) < len(trained) else "none"
        raise InputError(
            f"the optimizer holds {some} of the {len(trained)} parameters of the model that are trained; "
            f"it does not hold {', '.join(map(repr, missing[:3]))}{', ...' if len(missing) > 3 else ''}",
            hint="give the optimizer that was made of this model's parameters; several as a list",
        )


def _check_kind(optimizer: optim.Optimizer) -> None:
    name = type(optimizer).__name__
    if isinstance(optimizer, optim.LBFGS) and any(optimizer.state.values()):
        raise CannotFollow(
            "LBFGS keeps its history as one vector over all parameters, which cannot follow",
            hint="change the model before its first step, or make a new LBFGS after the change",
        )
    if name == "ZeroRedundancyOptimizer":
        raise CannotFollow(
            "ZeroRedundancyOptimizer shares its state out over ranks, which cannot follow",
            hint="use a plain optimizer on each rank while the model changes",
        )
    if any(group.get("differentiable") for group in optimizer.param_groups):
        raise CannotFollow(
            f"{name} was made with differentiable=True: its steps are part of a graph",
            hint="change the model with a plain optimizer",
        )
    for state in optimizer.state.values():
        for key, value in state.items():
            if isinstance(value, list | tuple) and any(isinstance(one, Tensor) for one in value):
                raise CannotFollow(
                    f"{name} keeps lists of tensors as {key!r}, and nothing says how they follow",
                    hint="make a new optimizer after the change, and give none to the change",
                )


def follow_with_optimizer(surgery: Surgery, optimizer: optim.Optimizer, names: dict[int, str]) -> None:
    """Make an optimizer fit a model that was changed; `surgery.take_back()` undoes it, too.

    Args:
        surgery: the change.
        optimizer: one that holds parameters of the model.
        names: qualified names by `id` of the parameters that the model has now, in order.

    Raises:
        CannotFollow: part of its state cannot follow.
    """
    _drop_gone(surgery, optimizer, names)
    groups = {id(one): group for group in optimizer.param_groups for one in group["params"]}
    for replacement in surgery.replacements:
        group = groups.get(id(replacement.tensor))
        if group is not None:
            _follow(surgery, optimizer, group, replacement)
    for group in optimizer.param_groups:
        if KEY in group and not any(KEY in optimizer.state.get(one, {}) for one in group["params"]):
            surgery.on_take_back(partial(group.__setitem__, KEY, True))
            del group[KEY]
    if isinstance(optimizer, optim.LBFGS):
        surgery.on_take_back(lambda: setattr(optimizer, "_numel_cache", None))
        optimizer._numel_cache = None


def _follow(
    surgery: Surgery, optimizer: optim.Optimizer, group: dict[str, Any], replacement: Replacement
) -> None:
    parameter, before = replacement.tensor, optimizer.state.get(replacement.tensor)
    if not before:
        return
    surgery.on_take_back(lambda: optimizer.state.__setitem__(parameter, before))
    if not replacement.reindexings:
        if replacement.shape != replacement.before.shape:
            # Every entry is new.
            del optimizer.state[parameter]
            _set_up(optimizer, group, parameter)
        return
    optimizer.state[parameter] = _reindexed_state(optimizer, replacement, before)
    if KEY in optimizer.state[parameter]:
        had = KEY in group
        surgery.on_take_back(lambda: None if had else group.pop(KEY, None))
        group[KEY] = True


def _reindexed_state(
    optimizer: optim.Optimizer, replacement: Replacement, before: dict[str, Any]
) -> dict[str, Any]:
    shape = replacement.before.shape
    state = {}
    for name, value in before.items():
        if name == KEY:
            continue
        if isinstance(value, Tensor) and value.shape == shape:
            value = _reindexed(value, replacement)
        elif isinstance(value, Tensor) and value.numel() > 1:
            raise CannotFollow(
                f"{type(optimizer).__name__} keeps {name!r} of shape {list(value.shape)} for a parameter of "
                f"shape {list(shape)}, and nothing says how it follows",
                hint="make a new optimizer after the change, and give none to the change",
            )
        state[name] = value
    record, size = before.get(KEY), list(shape)
    for change in replacement.reindexings:
        record = with_reindexing(record, size, change)
        size[change.dim] = len(change.gather)
    if record is not None and record["scalars"]:
        state[KEY] = record
    return state


def _reindexed(value: Tensor, replacement: Replacement) -> Tensor:
    """Old entries keep what they have; new ones begin with zeros."""
    for change in replacement.reindexings:
        value = change.kept(value)
    # Fused steps want both in one order.
    like = torch.empty_like(replacement.tensor, dtype=value.dtype, device=value.device, requires_grad=False)
    return like.copy_(value) if like.shape == value.shape and like.stride() != value.stride() else value


def _drop_gone(surgery: Surgery, optimizer: optim.Optimizer, names: dict[int, str]) -> None:
    gone = {id(one) for one in surgery.held_before if id(one) not in names}
    for group in optimizer.param_groups:
        left = [one for one in group["params"] if id(one) not in gone]
        if len(left) == len(group["params"]):
            continue
        _regroup(surgery, group, left, names)
    for one in surgery.held_before:
        if id(one) in gone and one in optimizer.state:
            state = optimizer.state[one]
            surgery.on_take_back(partial(optimizer.state.__setitem__, one, state))
            del optimizer.state[one]


def enrol_new(surgery: Surgery, optimizers: Sequence[optim.Optimizer], names: dict[int, str]) -> None:
    """Let new parameters join the group of the one beside them.

    Without one that an optimizer holds they join the group that has most of the model.
    """
    order = {key: place for place, key in enumerate(names)}
    groups = [(optimizer, group) for optimizer in optimizers for group in optimizer.param_groups]
    for parameter, neighbour in surgery.added:
        if any(one is parameter for _, group in groups for one in group["params"]):
            continue
        beside = [each for each in groups if any(one is neighbour for one in each[1]["params"])]
        fullest = max(groups, key=lambda each: sum(id(one) in order for one in each[1]["params"]))
        optimizer, group = beside[0] if beside else fullest
        mine = order[id(parameter)]
        before = [order.get(id(one), -1) for one in group["params"]]
        # Where a new optimizer of model.parameters() would have it: states are saved by place.
        place = max((number + 1 for number, other in enumerate(before) if -1 < other < mine), default=0)
        params = list(group["params"])
        _regroup(surgery, group, [*params[:place], parameter, *params[place:]], names)
        surgery.on_take_back(partial(optimizer.state.pop, parameter, None))
        _set_up(optimizer, group, parameter)


def _regroup(
    surgery: Surgery, group: dict[str, Any], params: Iterable[Tensor], names: dict[int, str]
) -> None:
    # In place: others (LBFGS) hold the list.
    held, before = group["params"], list(group["params"])
    surgery.on_take_back(lambda: held.__setitem__(slice(None), before))
    if "param_names" in group:
        called, before_names = group["param_names"], list(group["param_names"])
        known = dict(zip(map(id, before), before_names, strict=True))
        surgery.on_take_back(lambda: called.__setitem__(slice(None), before_names))
        called[:] = [known.get(id(one)) or names[id(one)] for one in params]
    held[:] = params


def _set_up(optimizer: optim.Optimizer, group: dict[str, Any], parameter: Tensor) -> None:
    state = initial_state(group, parameter)
    if state:
        optimizer.state[parameter] = state
