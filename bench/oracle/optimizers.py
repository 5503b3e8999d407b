"""Exams from torch's OptimizerInfo database: some steps, then the parameters and all state."""

__all__ = ["optimizer_exams", "optimizer_names"]

import functools
from collections.abc import Iterator
from typing import Any

import torch

from bench.oracle.exam import Exam, Outcome, fetched, named
from bench.oracle.side import Side


@functools.cache
def database() -> dict[str, Any]:
    """Entries by the optimizer's name."""
    from torch.testing._internal.common_optimizers import optim_db

    return {info.optim_cls.__name__: info for info in optim_db}


def optimizer_names() -> list[str]:
    """All of them, in torch's order."""
    return list(database())


def optimizer_exams(name: str, world_size: int, seed: int, samples: int) -> Iterator[Exam]:
    """Every set of options, with the loop, foreach and fused code where the optimizer has it."""
    info = database()[name]
    for number, given in enumerate(info.optim_inputs_func(device="cpu")):
        # Never the default: the loop on the CPU, `foreach` elsewhere, which rounds in another order.
        ways: list[dict[str, Any]] = [{}]
        if "foreach" in info.supported_impls:
            ways = [{"foreach": True}, {"foreach": False}]
        if "fused" in info.supported_impls and "cpu" in info.supports_fused_on:
            ways.append({"fused": True})
        for way in ways:
            if way.get("fused") and (given.kwargs.get("capturable") or given.kwargs.get("differentiable")):
                continue
            word = "+".join(f"{key}={value}" for key, value in way.items()) or "default"
            yield Exam(
                f"float64/{word}/{number}", functools.partial(_run, info, {**given.kwargs, **way}), name
            )


def _run(info: Any, kwargs: dict[str, Any], side: Side, outcome: Outcome) -> None:
    torch.default_generator.manual_seed(21)
    kwargs = side.tree(kwargs)
    weight, inner = torch.randn(8, 6, dtype=torch.float64), torch.randn(4, 8, dtype=torch.float64)
    bias, data = torch.randn(4, dtype=torch.float64), torch.randn(10, 6, dtype=torch.float64)
    is_matrix = info.optim_cls is torch.optim.Muon
    given = [weight, inner] if is_matrix else [weight, inner, bias]
    parameters = [torch.nn.Parameter(side.tensor(one)) for one in given]
    inputs = side.tensor(data)
    optimizer = info.optim_cls(parameters, **kwargs)
    is_sparse = info.only_supports_sparse_grads

    def closure() -> Any:
        optimizer.zero_grad()
        hidden = torch.tanh(inputs @ parameters[0].t()) @ parameters[1].t()
        loss = (hidden if is_matrix else hidden + parameters[2]).square().mean()
        loss.backward()
        if is_sparse:
            for parameter in parameters:
                parameter.grad = parameter.grad.to_sparse()
        return loss

    # One step of LBFGS is twenty; near the end it divides by next to nothing, and any rounding shows.
    for _ in range(1 if info.optim_cls is torch.optim.LBFGS else 4):
        loss = closure() if info.optim_cls is not torch.optim.LBFGS else None
        optimizer.step(*([] if loss is not None else [closure]))
    outcome.forward += fetched(named("parameter", [one.detach() for one in parameters]))
    state = [optimizer.state[one] for one in parameters if one in optimizer.state]
    outcome.forward += fetched(named("state", state))
