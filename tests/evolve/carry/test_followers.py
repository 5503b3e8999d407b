"""What is trained with a model follows each change."""

import copy

import pytest
import torch
from torch import Tensor, nn, optim
from torch.optim import lr_scheduler as schedulers
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from outgrow import evolve
from outgrow.evolve.carry.followers import Followers
from outgrow.evolve.carry.refused import CannotFollow
from outgrow.evolve.edits.operation import perform
from outgrow.evolve.surgery.surgery import Surgery
from tests.evolve.carry.trained_net import TOKENS, Net, step, trained, widen


def test_old_entries_keep_their_moments_and_new_ones_begin_with_none():
    model = Net()
    optimizer = trained(model)
    before = {name: copy.deepcopy(optimizer.state[one]) for name, one in model.named_parameters()}
    groups = [[id(one) for one in group["params"]] for group in optimizer.param_groups]
    widen(model, optimizer=optimizer)
    for name, parameter in model.named_parameters():
        state = optimizer.state[parameter]
        for key in ("exp_avg", "exp_avg_sq"):
            assert state[key].shape == parameter.shape, name
            old = state[key][tuple(slice(size) for size in before[name][key].shape)]
            assert torch.equal(old, before[name][key]), name
            assert state[key].count_nonzero() == old.count_nonzero(), name
        assert state["step"] == before[name]["step"]
    assert [[id(one) for one in group["params"]] for group in optimizer.param_groups] == groups
    trained(model, optimizer)


def test_without_an_optimizer_the_model_alone_changes():
    model = Net()
    widen(model)
    trained(model)


@pytest.mark.parametrize("ema_of", ["ema", "buffers", "first step", "by hand", "swa"])
def test_an_average_follows_with_its_own_values(ema_of):
    model = Net().double()
    use_buffers = ema_of == "buffers"
    average = None if ema_of == "swa" else get_ema_multi_avg_fn(0.7)
    ema = copy.deepcopy(model)
    if ema_of != "by hand":
        ema = AveragedModel(model, multi_avg_fn=average, use_buffers=use_buffers)
    optimizer = optim.AdamW(model.parameters(), lr=0.01)

    def update() -> None:
        if isinstance(ema, AveragedModel):
            ema.update_parameters(model)
            return
        with torch.no_grad():
            for mine, own in zip(ema.parameters(), model.parameters(), strict=True):
                mine.lerp_(own, 0.3)

    for _ in range(0 if ema_of == "first step" else 4):
        step(model, optimizer)
        update()
    ema.eval()
    expected = ema(TOKENS)
    parameters = [id(one) for one in ema.parameters()]
    widen(model, optimizer=optimizer, ema=ema)
    torch.testing.assert_close(ema(TOKENS), expected, rtol=1e-12, atol=1e-12)
    assert [id(one) for one in ema.parameters()] == parameters
    assert not {id(one) for one in ema.parameters()} & {id(one) for one in model.parameters()}
    for _ in range(3):
        step(model, optimizer)
        update()
    assert [one.shape for one in ema.parameters()] == [one.shape for one in model.parameters()]


def test_an_average_of_equal_values_stays_equal():
    """The same shares are drawn for both."""
    model = Net()
    ema = AveragedModel(model)
    trained(model)
    ema.update_parameters(model)
    widen(model, ema=ema)
    for mine, own in zip(ema.module.parameters(), model.parameters(), strict=True):
        assert torch.equal(mine, own)


SCHEDULERS = {
    "StepLR": lambda o: schedulers.StepLR(o, 2),
    "MultiStepLR": lambda o: schedulers.MultiStepLR(o, [3, 5]),
    "ConstantLR": schedulers.ConstantLR,
    "LinearLR": schedulers.LinearLR,
    "ExponentialLR": lambda o: schedulers.ExponentialLR(o, 0.9),
    "PolynomialLR": lambda o: schedulers.PolynomialLR(o, 10),
    "CosineAnnealingLR": lambda o: schedulers.CosineAnnealingLR(o, 10),
    "CosineAnnealingWarmRestarts": lambda o: schedulers.CosineAnnealingWarmRestarts(o, 3),
    "LambdaLR": lambda o: schedulers.LambdaLR(o, [lambda n: 0.9**n, lambda n: 0.8**n]),
    "MultiplicativeLR": lambda o: schedulers.MultiplicativeLR(o, lambda n: 0.9),
    "CyclicLR": lambda o: schedulers.CyclicLR(o, 0.001, 0.1, step_size_up=2, cycle_momentum=False),
    "OneCycleLR": lambda o: schedulers.OneCycleLR(o, [0.1, 0.2], total_steps=20),
    "ReduceLROnPlateau": lambda o: schedulers.ReduceLROnPlateau(o, patience=0, min_lr=[1e-4, 1e-5]),
    "SequentialLR": lambda o: schedulers.SequentialLR(
        o, [schedulers.LinearLR(o), schedulers.ExponentialLR(o, 0.9)], milestones=[4]
    ),
    "ChainedScheduler": lambda o: schedulers.ChainedScheduler(
        [schedulers.LinearLR(o), schedulers.ExponentialLR(o, 0.9)]
    ),
    "SWALR": lambda o: optim.swa_utils.SWALR(o, swa_lr=[0.05, 0.06], anneal_epochs=3),
}


@pytest.mark.parametrize("name", SCHEDULERS)
def test_rates_go_on_as_if_nothing_had_changed(name):
    rates = []
    for changes in (False, True):
        model = Net()
        weights = [one for one in model.parameters() if one.dim() > 1]
        others = [one for one in model.parameters() if one.dim() == 1]
        optimizer = optim.AdamW([{"params": weights}, {"params": others, "weight_decay": 0.0}], lr=0.01)
        scheduler = SCHEDULERS[name](optimizer)
        found = []
        for number in range(8):
            step(model, optimizer)
            scheduler.step(*([1.0] if name == "ReduceLROnPlateau" else []))
            found.append([group["lr"] for group in optimizer.param_groups])
            if changes and number in (2, 5):
                widen(model, optimizer=optimizer, scheduler=scheduler, seed=number)
        rates.append(found)
    assert rates[0] == rates[1]


def test_hooks_gradients_flags_and_ties_stay():
    model = Net()
    optimizer = trained(model)
    calls = []
    weight, norm = model.first.weight, model.norm.weight
    model.first.register_forward_hook(lambda *_: calls.append("forward"))
    model.first.register_full_backward_hook(lambda *_: calls.append("backward"))
    weight.register_hook(lambda gradient: calls.append(("tensor", gradient.shape)))
    weight.register_post_accumulate_grad_hook(lambda one: calls.append(("accumulated", one.grad.shape)))
    norm.requires_grad_(False)
    loss = nn.functional.cross_entropy(model(TOKENS), TOKENS)  # a graph that still lives
    state = torch.get_rng_state()
    widen(model, optimizer=optimizer)
    assert torch.equal(torch.get_rng_state(), state)
    calls.clear()
    step(model, optimizer)
    shape = torch.Size([11, 6])
    assert sorted(map(str, calls)) == sorted(
        map(str, ["forward", "backward", ("tensor", shape), ("accumulated", shape)])
    )
    assert model.first.weight is weight
    assert model.norm.weight is norm
    assert not norm.requires_grad
    assert model.head.weight is model.embed.weight
    assert len(optimizer.state) == len(list(model.parameters()))
    del loss


def test_a_gradient_that_is_there_stays_with_the_entries_that_were_there():
    model, once = Net(), Net()
    for one in (model, once):
        one.eval()
        nn.functional.cross_entropy(one(TOKENS), TOKENS).backward()
    widen(model)
    for (name, mine), own in zip(model.named_parameters(), once.parameters(), strict=True):
        old = tuple(slice(size) for size in own.shape)
        assert torch.equal(mine.grad[old], own.grad), name
        assert mine.grad.shape == mine.shape
        assert mine.grad.count_nonzero() == own.grad.count_nonzero()
    # The accumulation goes on.
    nn.functional.cross_entropy(model(TOKENS), TOKENS).backward()


def test_frozen_parameters_need_no_optimizer():
    model = Net()
    model.first.requires_grad_(False)
    optimizer = optim.AdamW([one for one in model.parameters() if one.requires_grad])
    widen(model, optimizer=optimizer)
    trained(model, optimizer)


def test_several_optimizers_follow_together():
    model = Net()
    first = optim.SGD(model.first.parameters(), lr=0.1, momentum=0.9)
    held = {id(one) for one in model.first.parameters()}
    others = optim.AdamW([one for one in model.parameters() if id(one) not in held], lr=0.01)
    for _ in range(3):
        step(model, first, others)
    widen(model, optimizer=[first, others])
    for _ in range(3):
        step(model, first, others)
    assert first.state[model.first.weight]["momentum_buffer"].shape == model.first.weight.shape


class Deeper(nn.Module):
    def __init__(self, inner: nn.Module, new: nn.Module) -> None:
        super().__init__()
        self.new = new
        self.inner = inner

    def forward(self, x: Tensor) -> Tensor:
        return self.inner(self.new(x))


def insert(surgery: Surgery) -> None:
    model = surgery.model
    new = nn.Linear(6, 6)
    nn.init.eye_(new.weight)
    nn.init.zeros_(new.bias)
    surgery.added += [(new.weight, model.last.weight), (new.bias, model.last.bias)]
    surgery.rearrange(model, {**model._modules, "last": Deeper(model.last, new)})


@pytest.mark.parametrize("make", [optim.AdamW, optim.Adagrad], ids=["AdamW", "Adagrad"])
def test_new_parameters_join_the_group_of_their_neighbour(make):
    def grouped(model: nn.Module) -> optim.Optimizer:
        named = list(model.named_parameters())
        return make(
            [
                {"params": [(name, one) for name, one in named if one.dim() > 1], "lr": 0.1},
                {"params": [(name, one) for name, one in named if one.dim() == 1], "lr": 0.01},
            ]
        )

    model = nn.Sequential()
    model.first, model.last = nn.Linear(6, 6), nn.Linear(6, 6)
    inputs = torch.randn(3, 6)
    optimizer = grouped(model)
    model(inputs).square().sum().backward()
    optimizer.step()
    followers = Followers(optimizer=optimizer)
    given = evolve.example_inputs.call_form(inputs)
    perform(model, given, insert, promise="exact", followers=followers)
    # In the order, and with the names, that a new optimizer would have.
    again = grouped(model)
    for mine, own in zip(optimizer.param_groups, again.param_groups, strict=True):
        assert [id(one) for one in mine["params"]] == [id(one) for one in own["params"]]
        # What was there keeps the name under which it was given.
        renamed = [name.replace(".inner", "") for name in own["param_names"]]
        assert mine["param_names"] == renamed
        assert mine["lr"] == own["lr"]
    for _ in range(2):
        optimizer.zero_grad()
        model(inputs).square().sum().backward()
        optimizer.step()
    again.load_state_dict(optimizer.state_dict())

    def take_out(surgery: Surgery) -> None:
        surgery.rearrange(model, {**model._modules, "last": model.last.inner})

    perform(model, given, take_out, promise="lossy", followers=followers)
    held = [one for group in optimizer.param_groups for one in group["params"]]
    assert {id(one) for one in held} == {id(one) for one in model.parameters()}
    assert {id(one) for one in optimizer.state} == {id(one) for one in held}


def test_an_average_gets_new_modules_of_its_own():
    model = nn.Sequential()
    model.first, model.last = nn.Linear(6, 6), nn.Linear(6, 6)
    inputs = evolve.example_inputs.call_form(torch.randn(3, 6))
    ema = AveragedModel(model)
    perform(model, inputs, insert, promise="exact", followers=Followers(ema=ema))
    ema.update_parameters(model)
    assert ema.module.last.new is not model.last.new

    one = nn.Linear(6, 6)

    def careless(surgery: Surgery) -> None:
        nn.init.eye_(one.weight)
        nn.init.zeros_(one.bias)
        surgery.rearrange(
            surgery.model, {**surgery.model._modules, "first": Deeper(surgery.model.first, one)}
        )

    with pytest.raises(CannotFollow, match="the same new parameters"):
        perform(model, inputs, careless, promise="exact", followers=Followers(ema=ema))
    assert isinstance(model.first, nn.Linear)
    assert isinstance(ema.module.first, nn.Linear)
