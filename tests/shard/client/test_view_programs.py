"""Random programs of views and in-place writes give what torch gives, bit for bit."""

from typing import Any

import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from torch import Tensor

from outgrow.shard.client.session import Session, use_session
from outgrow.shard.engines.simulated import SimulatedLink


def _select(tensor: Tensor, a: int, b: int) -> Tensor | None:
    if not tensor.dim():
        return None
    dim = a % tensor.dim()
    return tensor.select(dim, b % tensor.shape[dim]) if tensor.shape[dim] else None


def _slice(tensor: Tensor, a: int, b: int) -> Tensor | None:
    if not tensor.dim():
        return None
    dim = a % tensor.dim()
    return tensor.narrow(dim, b % (tensor.shape[dim] + 1) // 2, (tensor.shape[dim] + 1) // 2)


def _step(tensor: Tensor, a: int, b: int) -> Tensor | None:
    return tensor[b % 2 :: 2] if tensor.dim() else None


def _transpose(tensor: Tensor, a: int, b: int) -> Tensor | None:
    return tensor.transpose(a % tensor.dim(), b % tensor.dim()) if tensor.dim() else None


def _flat(tensor: Tensor, a: int, b: int) -> Tensor | None:
    return tensor.view(-1) if tensor.is_contiguous() else None


def _folded(tensor: Tensor, a: int, b: int) -> Tensor | None:
    if tensor.dim() and tensor.is_contiguous() and tensor.shape[0] % 2 == 0:
        return tensor.view(2, -1) if tensor.numel() else None
    return None


def _strided(tensor: Tensor, a: int, b: int) -> Tensor | None:
    # In torch, the storage is that of the first tensor, 24 elements; two elements that do not overlap.
    return tensor.as_strided((2,), (1 + a % 5,), b % 18)


def _unfold(tensor: Tensor, a: int, b: int) -> Tensor | None:
    dim = a % tensor.dim() if tensor.dim() else 0
    return tensor.unfold(dim, 2, 2) if tensor.dim() and tensor.shape[dim] >= 2 else None


def _split(tensor: Tensor, a: int, b: int) -> Tensor | None:
    if not tensor.dim() or not tensor.shape[0]:
        return None
    pieces = tensor.split(2)
    return pieces[b % len(pieces)]


def _unbind(tensor: Tensor, a: int, b: int) -> Tensor | None:
    return tensor.unbind(0)[b % tensor.shape[0]] if tensor.dim() and tensor.shape[0] else None


VIEWS = {
    "select": _select,
    "slice": _slice,
    "step": _step,
    "transpose": _transpose,
    "flat": _flat,
    "folded": _folded,
    "strided": _strided,
    "unfold": _unfold,
    "split": _split,
    "unbind": _unbind,
    "unsqueeze": lambda tensor, a, b: tensor.unsqueeze(a % (tensor.dim() + 1)) if tensor.dim() < 4 else None,
    "squeeze": lambda tensor, a, b: tensor.squeeze(),
    "detach": lambda tensor, a, b: tensor.detach(),
    "diagonal": lambda tensor, a, b: tensor.diagonal() if tensor.dim() >= 2 else None,
    "bits": lambda tensor, a, b: tensor.view(torch.float64).view(torch.int64),
    "clone": lambda tensor, a, b: tensor.clone(),
    "twice": lambda tensor, a, b: tensor + tensor,
}
WRITES = {
    "add": lambda tensor, other: tensor.add_(1),
    "mul": lambda tensor, other: tensor.mul_(2).remainder_(101),
    "zero": lambda tensor, other: tensor.zero_(),
    "fill": lambda tensor, other: tensor.fill_(7),
    "copy": lambda tensor, other: tensor.copy_(other.sum() % 13),
    "add_sum": lambda tensor, other: tensor.add_(other.sum() % 11),
    "set_first": lambda tensor, other: tensor.view(-1)[:1].fill_(3) if tensor.is_contiguous() else None,
    "mask": lambda tensor, other: tensor.masked_fill_(tensor % 3 == 0, 5),
    "host": lambda tensor, other: tensor.copy_(torch.arange(tensor.numel()).reshape(tensor.shape)),
}


def run(program: list[tuple[Any, ...]], device: str) -> list[Tensor]:
    known = [torch.arange(24).reshape(2, 3, 4).to(device)]
    for kind, name, target, a, b in program:
        tensor = known[target % len(known)]
        if kind == "view":
            made = VIEWS[name](tensor, a, b)
            if made is not None and made.numel():
                known.append(made)
        else:
            WRITES[name](tensor, known[a % len(known)].clone())
    return known


numbers = st.integers(0, 23)
steps = st.one_of(
    st.tuples(st.just("view"), st.sampled_from(sorted(VIEWS)), numbers, numbers, numbers),
    st.tuples(st.just("write"), st.sampled_from(sorted(WRITES)), numbers, numbers, numbers),
)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(program=st.lists(steps, min_size=1, max_size=14))
def test_views_and_writes_mean_what_they_mean_in_torch(program: list[tuple[Any, ...]]) -> None:
    def safe(device: str) -> list[Tensor] | str:
        try:
            return run(program, device)
        except RuntimeError as error:
            return str(error)

    expected = safe("cpu")
    with use_session(Session(SimulatedLink(2), inference=INFERENCE.inference)):
        actual = safe("workers")
        if isinstance(expected, str) or isinstance(actual, str):
            assert actual == expected
            return
        for ours, theirs in zip(actual, expected, strict=True):
            assert _steps(ours) == _steps(theirs)
            assert ours.storage_offset() == theirs.storage_offset()
            assert torch.equal(ours.cpu(), theirs)


def _steps(tensor: Tensor) -> list[int]:
    # Of a dim with one entry it means nothing, and torch itself is of two minds.
    return [stride for stride, size in zip(tensor.stride(), tensor.shape, strict=True) if size > 1]


INFERENCE = Session(SimulatedLink(1))
