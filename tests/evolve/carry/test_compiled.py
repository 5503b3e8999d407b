"""A compiled model is compiled anew after each change, and never runs eagerly without a word."""

from collections.abc import Iterator
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from outgrow import evolve


class Counter:
    """A backend that runs what it is given, and counts: graphs made, and graphs run."""

    def __init__(self) -> None:
        self.made = 0
        self.run = 0

    def __call__(self, graph: torch.fx.GraphModule, _inputs: list[Tensor]) -> Any:
        self.made += 1

        def run(*args: Any) -> Any:
            self.run += 1
            return graph(*args)

        return run


@pytest.fixture(autouse=True)
def _nothing_compiled() -> Iterator[None]:
    yield
    torch.compiler.reset()


class Net(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Linear(4, 6)
        self.last = nn.Linear(6, 3)

    def forward(self, x: Tensor) -> Tensor:
        return self.last(torch.relu(self.first(x)))


def network() -> Net:
    torch.manual_seed(0)
    return Net()


def wrapped(model: nn.Module, counter: Counter) -> nn.Module:
    return torch.compile(model, backend=counter)


def inside(model: nn.Module, counter: Counter) -> nn.Module:
    model.compile(backend=counter)
    return model


@pytest.mark.parametrize("compile_it", [wrapped, inside], ids=["torch.compile(model)", "model.compile()"])
def test_after_twelve_changes_a_compiled_model_still_runs_compiled(compile_it):
    counter, inputs = Counter(), torch.randn(5, 4)
    model = compile_it(network(), counter)
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-2)
    expected = model(inputs).detach()
    assert (counter.made, counter.run) == (1, 1)
    changes = 12
    for number in range(1, changes + 1):
        evolve.widen(model, "first", by=1, example_inputs=inputs, optimizer=optimizer, seed=number)
        # Neither looking for sites nor checking the promise has compiled anything.
        assert (counter.made, counter.run) == (number, number)
        torch.testing.assert_close(model(inputs).detach(), expected)
        assert (counter.made, counter.run) == (number + 1, number + 1)
    optimizer.zero_grad()
    model(inputs).square().mean().backward()
    optimizer.step()
    assert (counter.made, counter.run) == (changes + 1, changes + 2)


def test_without_it_torch_would_stop_compiling():
    """What the reset is for: should this fail, it may go."""
    counter, inputs = Counter(), torch.randn(5, 4)
    plain = network()
    model = wrapped(plain, counter)
    for _ in range(12):
        model(inputs)
        more = plain.first.out_features + 1
        plain.first, plain.last = nn.Linear(4, more), nn.Linear(more, 3)
    assert counter.run < 12


def test_a_rollback_compiles_anew_only_after_a_change_of_shape():
    counter, inputs = Counter(), torch.randn(5, 4)
    model = wrapped(network(), counter)
    expected = model(inputs).detach()
    with evolve.transaction(model) as change:
        change.rollback()
    model(inputs)
    assert (counter.made, counter.run) == (1, 2)
    with evolve.transaction(model) as change:
        evolve.widen(model, "first", by=1, example_inputs=inputs)
        model(inputs)
        change.rollback()
    assert torch.equal(model(inputs).detach(), expected)
    assert (counter.made, counter.run) == (3, 4)


def test_other_compiled_parts_work_on():
    counter, inputs = Counter(), torch.randn(5, 4)
    plain = network()
    plain.first = wrapped(plain.first, counter)
    expected = plain(inputs).detach()
    (site,) = evolve.sites(plain, inputs)
    evolve.widen(plain, site, by=2)
    torch.testing.assert_close(plain(inputs).detach(), expected)
    assert (counter.made, counter.run) == (2, 2)
