"""Calls of pooling and losses."""

from collections.abc import Iterator
from typing import Any

from outgrow.shard.ranks.kernels import resolve_op
from outgrow.shard.rules.verify import Sample, sample_of
from tests.shard.rules.numbers import positive, real, whole


def pools(packet: str) -> Iterator[Sample]:
    for batch, channels in ((8, 5), (5, 8)):
        yield from _pools(packet, batch, channels)


def _pools(packet: str, batch: int, channels: int) -> Iterator[Sample]:
    name = packet.removeprefix("aten.")
    dims = next(int(one) for one in name if one.isdigit())
    full = (batch, channels, *(6,) * dims)
    half, double = [3] * dims, [12] * dims
    data = real(*full)
    call = f"{packet}.default"
    is_backward = name.endswith("_backward")
    plain = name.removesuffix("_backward")
    forward = f"aten.{plain}.default"
    if "upsample" in name:
        scales = [None] * dims
        corners = [] if "nearest" in name else [False]
        if is_backward:
            yield sample_of(call, real(batch, channels, *double), double, list(full), *corners, *scales)
        else:
            yield sample_of(call, data, double, *corners, *scales)
    elif "pad" in name:
        pads = [1, 2] * dims
        if is_backward:
            yield sample_of(call, real(batch, channels, *(9,) * dims), data, pads)
        else:
            yield sample_of(call, data, pads)
            yield sample_of(call, real(channels, *(6,) * dims), pads)
    elif plain.startswith("max_pool"):
        made, places = sample_call(forward, data, [2] * dims, [2] * dims)
        if is_backward:
            options = [2] * dims, [2] * dims, [0] * dims, [1] * dims, False
            yield sample_of(call, made, data, *options, places)
        else:
            yield sample_of(call, data, [2] * dims, [2] * dims)
    elif plain.startswith("avg_pool"):
        options = [2] * dims, [2] * dims, [0] * dims, False, True, None
        yield (
            sample_of(call, real(batch, channels, *half), data, *options)
            if is_backward
            else sample_of(call, data, *options)
        )
    elif plain.startswith("_adaptive_avg"):
        yield (
            sample_of(call, real(batch, channels, *half), data)
            if is_backward
            else sample_of(call, data, half)
        )
    elif plain.startswith("adaptive_max"):
        made, places = sample_call(forward, data, half)
        yield sample_of(call, made, data, places) if is_backward else sample_of(call, data, half)
    elif plain.startswith("max_unpool"):
        pooled = (
            "aten.max_pool2d_with_indices.default" if dims == 2 else "aten.max_pool3d_with_indices.default"
        )
        made, places = sample_call(pooled, data, [2] * dims, [2] * dims)
        more = [[2] * 3, [0] * 3] if dims == 3 else []
        yield sample_of(call, made, places, [6] * dims, *more)


def sample_call(name: str, *args: Any) -> Any:
    return resolve_op(name)(*args)


def losses(packet: str) -> Iterator[Sample]:
    name = packet.removeprefix("aten.")
    extra = {"smooth_l1_loss": [1.5], "huber_loss": [1.5]}.get(name.removesuffix("_backward"), [])
    for shape in ((8, 7), (24,)):
        for reduction in (0, 1, 2):
            first, second = (positive(*shape), positive(*shape))
            if name == "binary_cross_entropy_with_logits":
                yield sample_of(
                    f"{packet}.default",
                    first,
                    second,
                    None,
                    real(7).abs() if shape == (8, 7) else None,
                    reduction,
                )
            elif name.startswith("binary"):
                grad = [real(*shape) if reduction == 0 else real()] if name.endswith("_backward") else []
                yield sample_of(f"{packet}.default", *grad, first, second, None, reduction)
                yield sample_of(f"{packet}.default", *grad, first, second, positive(*shape), reduction)
            elif name.endswith("_backward"):
                grad = real(*shape) if reduction == 0 else real()
                yield sample_of(f"{packet}.default", grad, first, second, reduction, *extra)
            else:
                yield sample_of(f"{packet}.default", first, second, reduction, *extra)


def nll(packet: str) -> Iterator[Sample]:
    is_backward, is_2d = "backward" in packet, "2d" in packet
    for batch, classes in ((8, 24), (7, 5)):
        scores = real(batch, classes, 4, 3) if is_2d else real(batch, classes)
        target = whole(classes, batch, 4, 3) if is_2d else whole(classes, batch)
        target.view(-1)[::3] = 2
        is_first = batch == 8
        for weight in (None, positive(classes)) if is_first else (positive(classes),):
            for ignored in (-100, 2) if is_first else (2,):
                for reduction in (0, 1, 2):
                    args: list[Any] = [scores, target, weight, reduction, ignored]
                    if is_backward:
                        forward = "aten.nll_loss2d_forward" if is_2d else "aten.nll_loss_forward"
                        made, total = sample_call(f"{forward}.default", *args)
                        args = [real(*made.shape), *args, total]
                    yield sample_of(f"{packet}.default", *args)
