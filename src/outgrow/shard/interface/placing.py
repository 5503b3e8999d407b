"""Where tensors lie, when the program says so: `place`, `replicated`, `placement_of`."""

__all__ = ["checked", "hold", "place", "place_result", "placement_of", "replicated", "world_size"]

import weakref
from typing import Any

import torch
from torch import Tensor

from outgrow.errors import InputError
from outgrow.placement import Owned, Partial, Placement, Replicate, Shard, parse_placement
from outgrow.shard.client.session import Session
from outgrow.shard.client.tensor import WorkersTensor
from outgrow.shard.messages import Place

_sizes: weakref.WeakKeyDictionary[Session, int] = weakref.WeakKeyDictionary()


def place(tensor: Tensor, placement: Placement | str, *, backward: Placement | str | None = None) -> Tensor:
    """Hold a tensor so from now on, whatever the planner would have chosen.

    A parameter or an input is placed as it is, and is given back. The result of an op is given back as a new
    tensor; its gradient is placed by `backward`, as itself where left out.

    Raises:
        InputError: no such dim, no such worker, a partial sum (nobody's to ask for), or no tensor of ours.
    """
    if not isinstance(tensor, WorkersTensor):
        raise InputError(
            f"a tensor on {tensor.device} cannot be placed", hint="move it to the workers with .to('workers')"
        )
    session = tensor._session
    target = checked(placement, tensor, session)
    gradient = target if backward is None else checked(backward, tensor, session)
    if tensor.grad_fn is not None:
        return place_result(tensor, target, gradient)
    hold(tensor, target)
    return tensor


def place_result(tensor: Tensor, target: Placement, gradient: Placement) -> Tensor:
    """The same numbers as a new tensor that is held so: an instruction like any other, with a gradient."""
    placed: Tensor = _Placed.apply(tensor, target, gradient)  # type: ignore[no-untyped-call]
    placed.__class__ = type(tensor)
    return placed


def replicated(parameter: Tensor) -> Tensor:
    """Do not shard this one: every worker holds the whole of it."""
    return place(parameter, Replicate())


def placement_of(tensor: Tensor) -> Placement:
    """How a tensor lies with the workers now; waits for what was sent before.

    Raises:
        InputError: no tensor of ours.
        RemoteError: what should have made it failed.
    """
    if not isinstance(tensor, WorkersTensor):
        raise InputError(
            f"a tensor on {tensor.device} is not with the workers", hint="move it with .to('workers')"
        )
    value = tensor._read_value()
    known = tensor._session.ask("describe", values=[value.number])["values"][str(value.number)]
    return parse_placement(known["placement"])


def hold(tensor: Any, placement: Placement) -> None:
    """Place the value that a tensor is now, for good."""
    session = tensor._session
    number = tensor._read_value().number  # may be an instruction itself: a view made anew
    session.flush()
    session.link.send(Place(value=number, placement=placement, is_pinned=True))


def world_size(session: Session) -> int:
    """How many workers a session has; asked once."""
    known = _sizes.get(session)
    if known is None:
        known = _sizes[session] = int(session.ask("describe", values=[])["world_size"])
    return known


def checked(placement: Placement | str, tensor: Tensor, session: Session) -> Placement:
    """The placement, with its dim counted from the front.

    Raises:
        InputError: the tensor cannot be held so.
    """
    if isinstance(placement, str):
        placement = parse_placement(placement)
    shape = tuple(tensor.shape)
    match placement:
        case Shard(dim=dim):
            if not -len(shape) <= dim < len(shape):
                possible = ", ".join(f"Shard({one})" for one in range(len(shape))) or "Replicate()"
                raise InputError(
                    f"a tensor of shape {shape} has no dim {dim} to cut", hint=f"possible are {possible}"
                )
            return Shard(dim % len(shape))
        case Partial():
            raise InputError(
                "a tensor cannot be asked to be a partial sum", hint="place it as Shard(dim) or Replicate()"
            )
        case Owned(rank=rank):
            workers = world_size(session)
            if not 0 <= rank < workers:
                raise InputError(
                    f"there is no worker {rank} among {workers}", hint=f"possible are 0 to {workers - 1}"
                )
            return placement
        case Replicate():
            return placement
    raise InputError(f"{placement!r} is no placement", hint="write gt.Shard(0) or gt.Replicate()")


class _Placed(torch.autograd.Function):
    """The same numbers, held so; the gradient likewise."""

    @staticmethod
    def forward(context: Any, tensor: Tensor, target: Placement, gradient: Placement) -> Tensor:
        context.gradient = gradient
        placed: Tensor = torch.ops.outgrow.place(tensor, str(target))
        return placed

    @staticmethod
    def backward(context: Any, gradient: Tensor) -> tuple[Tensor, None, None]:
        return torch.ops.outgrow.place(gradient, str(context.gradient)), None, None


def _same(tensor: Tensor, placement: str) -> Tensor:
    return tensor.clone()


_library = torch.library.Library("outgrow", "DEF")  # type: ignore[no-untyped-call]
_library.define("place(Tensor tensor, str placement) -> Tensor")  # type: ignore[no-untyped-call]
_library.impl("place", _same, "CompositeExplicitAutograd")  # type: ignore[no-untyped-call]
