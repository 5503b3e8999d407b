"""The end of an optimizer's step: where a segment ends though nobody waits."""

__all__ = ["watch_optimizers"]

import functools
from typing import Any

from torch.optim import ASGD
from torch.optim import optimizer as optimizers

from outgrow.shard.client.tensor import WorkersTensor


@functools.cache
def watch_optimizers() -> None:
    """Let every optimizer's step end a segment, and optimizers treat our tensors as they treat torch's."""
    optimizers.register_optimizer_step_pre_hook(_before_step)
    optimizers.register_optimizer_step_post_hook(_after_step)
    # A list of exact types: with ours in it, optimizers take all parameters at once, a tenth of the calls.
    known = optimizers._foreach_supported_types
    if WorkersTensor not in known:
        known.append(WorkersTensor)


def _before_step(optimizer: Any, args: Any, kwargs: Any) -> None:
    if type(optimizer) is not ASGD:
        return
    for group in optimizer.param_groups:
        if (
            group["foreach"] is None
        ):  # over lists, torch 2.13 computes its step sizes in float32 whatever the dtype
            group["foreach"] = False


def _after_step(optimizer: Any, args: Any, kwargs: Any) -> None:
    for group in optimizer.param_groups:
        for parameter in group["params"]:
            if isinstance(parameter, WorkersTensor):
                parameter._session.flush(ends_step=True)
                return
