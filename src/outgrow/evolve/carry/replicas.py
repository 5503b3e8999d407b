"""Replicas of one model on several ranks: all change alike, or none does."""

__all__ = ["agreed", "rebuild_reducer"]

import contextlib
import hashlib
import sys
from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor, nn

from outgrow.errors import OutgrowError
from outgrow.evolve.carry.refused import CannotFollow
from outgrow.evolve.carry.wrappers import replicated
from outgrow.evolve.surgery.surgery import Surgery

_FAILED = b"\0" * 32


class ReplicasDiffer(OutgrowError):
    """The ranks of a replicated model did not make the same change; all of them have taken it back."""


@contextlib.contextmanager
def agreed(model: nn.Module, surgery: Surgery) -> Iterator[None]:
    """See that every rank makes the same change; a rank on which it fails fails on all.

    Does nothing for a model that is not replicated.

    Raises:
        CannotFollow: the process group is gone.
        ReplicasDiffer: another rank failed, or made another change.
    """
    wrapper = replicated(model)
    if wrapper is None:
        yield
        return
    distributed: Any = sys.modules.get("torch.distributed")
    if distributed is None or not distributed.is_initialized():
        raise CannotFollow(
            "the model is replicated, and there is no process group in which its ranks could agree",
            hint="change it before torch.distributed.destroy_process_group()",
        )
    try:
        yield
    except BaseException:
        _votes(distributed, wrapper, _FAILED)
        raise
    mine = _digest(surgery)
    votes = _votes(distributed, wrapper, mine)
    failed = [str(rank) for rank, vote in enumerate(votes) if vote == _FAILED]
    if failed:
        raise ReplicasDiffer(
            f"the change failed on rank {', '.join(failed)}", hint="that rank says why; nothing has changed"
        )
    if any(vote != mine for vote in votes):
        raise ReplicasDiffer(
            f"the {len(votes)} ranks made different changes",
            hint="give every rank the same operator, site and seed, and see that their weights are equal",
        )


def rebuild_reducer(model: nn.Module) -> None:
    """Let `DistributedDataParallel` reduce the gradients of the parameters that the model has now."""
    wrapper = replicated(model)
    if wrapper is None:
        return
    state = {name: value for name, value in wrapper.__dict__.items() if name not in ("reducer", "logger")}
    ignored = set(wrapper.parameters_to_ignore)
    state["_module_parameters"] = [
        parameter for name, parameter in wrapper.module.named_parameters() if name not in ignored
    ]
    wrapper.__dict__.pop("reducer", None)
    # What torch does when a wrapper comes out of a file; with the process group in the state that one stays.
    wrapper.__setstate__(state)  # type: ignore[no-untyped-call]
    hooks, wrapper._comm_hooks = wrapper._comm_hooks, []
    for hook, its_state in hooks:
        wrapper.register_comm_hook(its_state, hook)


def _votes(distributed: Any, wrapper: nn.parallel.DistributedDataParallel, mine: bytes) -> list[bytes]:
    group: Any = wrapper.process_group
    device = torch.device("cpu")
    if "nccl" in str(distributed.get_backend(group)):
        device = next(wrapper.parameters()).device
    vote = torch.frombuffer(bytearray(mine), dtype=torch.uint8).to(device)
    votes = [torch.empty_like(vote) for _ in range(distributed.get_world_size(group))]
    distributed.all_gather(votes, vote, group=group)
    return [bytes(one.cpu().tolist()) for one in votes]


def _digest(surgery: Surgery) -> bytes:
    """Of all parameters' names and shapes, and the contents of those that changed."""
    digest = hashlib.blake2b(digest_size=32)
    changed = {id(one.tensor) for one in surgery.replacements} | {id(one) for one, _ in surgery.added}
    for name, parameter in surgery.model.named_parameters():
        digest.update(f"{name} {list(parameter.shape)} {parameter.dtype}\n".encode())
        if id(parameter) in changed:
            digest.update(_bytes(parameter.detach()))
    return digest.digest()


def _bytes(tensor: Tensor) -> bytes:
    return tensor.cpu().contiguous().view(-1).view(torch.uint8).numpy().tobytes()
