"""A session on two simulated workers as the default one, and programs run on both sides."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest
import torch
from torch import Tensor

from outgrow.shard.client.session import Session, use_session
from outgrow.shard.engines.simulated import SimulatedLink

Program = Callable[[str], Any]
"""Takes a device, gives a tensor or several."""


@pytest.fixture(autouse=True)
def session() -> Iterator[Session]:
    made = Session(SimulatedLink(2))
    with use_session(made), torch.random.fork_rng(devices=[]):
        yield made


@pytest.fixture
def assert_same() -> Callable[..., None]:
    """A program on the CPU and on workers with one seed: equal bit for bit unless a tolerance is given."""

    def check(program: Program, *, rtol: float = 0.0) -> None:
        torch.manual_seed(0)
        expected = program("cpu")
        torch.manual_seed(0)
        actual = program("workers")
        for ours, theirs in zip(_several(actual), _several(expected), strict=True):
            assert ours.device.type == "workers"
            torch.testing.assert_close(
                ours.detach().cpu(), theirs.detach(), rtol=rtol, atol=rtol, equal_nan=True, check_stride=False
            )

    return check


def _several(result: Any) -> list[Tensor]:
    return list(result) if isinstance(result, (list, tuple)) else [result]
