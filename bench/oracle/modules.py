"""Exams from torch's ModuleInfo database: forward, all gradients, buffers, training and evaluation."""

__all__ = ["module_exams", "module_names"]

import copy
import functools
from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor

from bench.oracle.exam import Exam, Outcome, fetched, named
from bench.oracle.ops import gradients
from bench.oracle.side import Side, Workers
from bench.oracle.stable import stable


@functools.cache
def database() -> dict[str, Any]:
    """Entries by name."""
    from torch.testing._internal.common_modules import module_db

    return {info.name: info for info in module_db}


def module_names() -> list[str]:
    """All of them, in torch's order."""
    return list(database())


def module_exams(name: str, world_size: int, seed: int, samples: int) -> Iterator[Exam]:
    """Every case of one entry but for placements."""
    info = database()[name]
    for dtype in (torch.float64, torch.float32):
        if dtype not in info.supported_dtypes("cpu"):
            continue
        for training in (True, False) if info.train_and_eval_differ else (True,):
            torch.default_generator.manual_seed(seed + 3)
            drawn = list(
                info.module_inputs_func(
                    info, device="cpu", dtype=dtype, requires_grad=True, training=training
                )
            )
            many = samples if dtype == torch.float64 else 1
            first = stable(f"{name}/{seed}") % max(1, len(drawn))
            step = max(1, len(drawn) // many)
            for number in range(min(many, len(drawn))):
                given = drawn[(first + number * step) % len(drawn)]
                word = f"{str(dtype).removeprefix('torch.')}/{'train' if training else 'eval'}/{number}"
                yield Exam(word, functools.partial(_run, info, given, dtype, training), name)


def _run(info: Any, given: Any, dtype: torch.dtype, training: bool, side: Side, outcome: Outcome) -> None:
    torch.default_generator.manual_seed(17)
    made = info.module_cls(*given.constructor_input.args, **given.constructor_input.kwargs)
    made.to(dtype).train(training)
    module = copy.deepcopy(made).to(side.device)
    if isinstance(side, Workers) and side.where is not None:
        for number, parameter in enumerate(module.parameters()):
            placement = side.where(number, parameter) if parameter.shape else None
            if placement is not None and getattr(placement, "dim", 0) < parameter.dim():
                side.place(parameter.data, placement)
    side.elements = max([side.elements, *(parameter.numel() for parameter in module.parameters())])
    forward = given.forward_input
    if forward is None:
        outcome.forward += fetched([(name, value) for name, value in module.state_dict().items()])
        return
    args, kwargs = side.tree((forward.args, forward.kwargs))
    torch.default_generator.manual_seed(99)
    result = module(*args, **kwargs)
    results = named("out", result)
    outcome.forward += fetched(results)
    outcome.forward += fetched(list(module.named_buffers()))
    outcome.phase = "backward"
    ends = [value for _, value in results if isinstance(value, Tensor)]
    parameters = {name: p for name, p in module.named_parameters() if p.requires_grad}
    gradients(side, outcome, ends, **parameters)
