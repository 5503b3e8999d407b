"""Contents are exchanged, identities stay, and everything can be taken back, bit for bit."""

from types import SimpleNamespace

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn

from outgrow.evolve.surgery.surgery import Reindexing, Surgery


@given(st.integers(0, 2), st.lists(st.tuples(st.integers(0, 3), st.booleans()), max_size=7), st.booleans())
def test_what_is_kept_is_what_was_there_and_zeros(dim, entries, is_behind):
    tensor = torch.arange(4.0**3).reshape(4, 4, 4) + 1
    if is_behind:
        entries = [*((place, False) for place in range(4)), *((place, True) for place, _ in entries)]
    change = Reindexing(
        dim=dim,
        gather=torch.tensor([source for source, _ in entries], dtype=torch.int64),
        fresh=torch.tensor([is_fresh for _, is_fresh in entries], dtype=torch.bool),
    )
    kept = change.kept(tensor)
    assert kept.shape[dim] == len(entries)
    for place, (source, is_fresh) in enumerate(entries):
        expected = torch.zeros(4, 4) if is_fresh else tensor.select(dim, source)
        assert torch.equal(kept.select(dim, place), expected)


def model() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.Linear(4, 2))


def change_everything(surgery: Surgery, holder: SimpleNamespace) -> None:
    net = surgery.model
    index = torch.tensor([0, 1, 2, 3, 0])
    change = Reindexing(dim=0, gather=index, fresh=torch.arange(5) == 4)
    for name in ("weight", "bias"):
        tensor = getattr(net[0], name)
        surgery.replace(tensor, tensor.detach()[index], change)
    surgery.replace(net[1].running_mean, torch.zeros(5), change)
    surgery.replace(net[0].weight, torch.zeros(5, 3))  # a second time
    surgery.assign(net[0], "out_features", 5)
    surgery.assign(net[0], "unheard_of", 1)
    surgery.assign(holder, "width", 5)
    surgery.remove(holder, "depth")
    surgery.rearrange(net, {"0": net[0], "new": nn.ReLU(), "1": net[1]})


@pytest.mark.parametrize("is_trial", [False, True])
def test_everything_is_taken_back(is_trial):
    net, holder = model(), SimpleNamespace(width=4, depth=2)
    net(torch.randn(6, 3)).sum().backward()
    tensors: list[Tensor] = [*net.parameters(), *net.buffers()]
    before = [(tensor.detach().clone(), tensor.grad, tensor.data_ptr()) for tensor in tensors]
    modules, attributes = list(net.named_modules()), set(vars(net[0]))
    surgery = Surgery(net, trial=is_trial)
    change_everything(surgery, holder)
    assert net[0].weight.shape == (5, 3)
    surgery.take_back()
    surgery.take_back()  # nothing is left to do
    now = [*net.parameters(), *net.buffers()]
    for tensor, same, (contents, gradient, place) in zip(tensors, now, before, strict=True):
        assert tensor is same
        assert torch.equal(tensor, contents)
        assert tensor.grad is gradient
        assert tensor.data_ptr() == place
    assert list(net.named_modules()) == modules
    assert set(vars(net[0])) == attributes
    assert vars(holder) == {"width": 4, "depth": 2}


def test_taking_back_ends_where_it_was_interrupted():
    net, holder = model(), SimpleNamespace(width=4, depth=2)
    before = str(net.state_dict())
    surgery = Surgery(net)
    change_everything(surgery, holder)
    interruptions = iter([KeyboardInterrupt])

    def interrupted() -> None:
        for error in interruptions:
            raise error

    surgery.on_take_back(interrupted)
    with pytest.raises(KeyboardInterrupt):
        surgery.take_back()
    surgery.take_back()
    assert str(net.state_dict()) == before


def test_a_graph_that_lives_does_not_hold_the_old_shape():
    net = nn.Linear(3, 4)
    inputs = torch.randn(5, 3)
    loss = net(inputs).sum()  # holds the accumulators of the old shape
    surgery = Surgery(net)
    surgery.replace(net.weight, torch.zeros(6, 3))
    surgery.replace(net.bias, torch.zeros(6))
    net(inputs).sum().backward()
    assert net.weight.grad.shape == (6, 3)
    del loss


def test_a_trial_leaves_whoever_waits_for_gradients_alone():
    net = nn.Linear(3, 4)
    calls = []
    # As a reducer does it.
    accumulator = net.weight.expand_as(net.weight).grad_fn.next_functions[0][0]
    accumulator.register_hook(lambda *_: calls.append(None))
    surgery = Surgery(net, trial=True)
    surgery.replace(net.weight, torch.zeros(6, 3))
    surgery.take_back()
    net(torch.randn(5, 3)).sum().backward()
    assert len(calls) == 1
