"""Entries that came later take the steps of a new optimizer; all others take the steps that torch takes."""

import copy
import io

import pytest
import torch
from torch import nn, optim

from outgrow.evolve.carry.cohorts import KEY
from outgrow.evolve.carry.optimizers import follow_with_optimizer
from outgrow.evolve.surgery.surgery import Reindexing, Surgery

OPTIMIZERS = {
    "SGD": lambda p: optim.SGD(p, lr=0.1),
    "SGD-momentum": lambda p: optim.SGD(p, lr=0.1, momentum=0.9, dampening=0.3, weight_decay=0.1),
    "SGD-nesterov": lambda p: optim.SGD(p, lr=0.1, momentum=0.9, nesterov=True),
    "Adam": lambda p: optim.Adam(p, lr=0.01, weight_decay=0.1),
    "Adam-amsgrad": lambda p: optim.Adam(p, lr=0.01, amsgrad=True, maximize=True),
    "Adam-foreach": lambda p: optim.Adam(p, lr=0.01, foreach=True),
    "AdamW": lambda p: optim.AdamW(p, lr=0.01),
    "AdamW-fused": lambda p: optim.AdamW(p, lr=0.01, fused=True),
    "NAdam": lambda p: optim.NAdam(p, lr=0.01),
    "RAdam": lambda p: optim.RAdam(p, lr=0.01),
    "Adamax": lambda p: optim.Adamax(p, lr=0.01),
    "Adagrad": lambda p: optim.Adagrad(p, lr=0.1, lr_decay=0.1, initial_accumulator_value=0.2),
    "RMSprop": lambda p: optim.RMSprop(p, lr=0.01, momentum=0.5, centered=True),
    "Adadelta": lambda p: optim.Adadelta(p, lr=1.0),
    "ASGD": lambda p: optim.ASGD(p, lr=0.1, lambd=0.1, t0=2),
    "Rprop": lambda p: optim.Rprop(p, lr=0.01),
}


def gather(rows: int, new: int) -> tuple[torch.Tensor, torch.Tensor]:
    """All rows, then copies of the first ones."""
    index = torch.cat([torch.arange(rows), torch.arange(new)])
    return index, torch.arange(rows + new) >= rows


def grow(weight: nn.Parameter, optimizer: optim.Optimizer, dim: int, new: int) -> None:
    model = nn.Module()
    model.weight = weight
    index, fresh = gather(weight.shape[dim], new)
    surgery = Surgery(model)
    contents = weight.detach().index_select(dim, index)
    surgery.replace(weight, contents, Reindexing(dim=dim, gather=index, fresh=fresh))
    follow_with_optimizer(surgery, optimizer, {id(weight): "weight"})


def steps(weight: nn.Parameter, optimizer: optim.Optimizer, gradients: torch.Tensor) -> list[torch.Tensor]:
    found = []
    for gradient in gradients:
        weight.grad = gradient.clone()
        optimizer.step()
        found.append(weight.detach().clone())
    return found


def drawn(*shape: int) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(sum(shape)))


def assert_same(actual: torch.Tensor, expected: torch.Tensor, *, name: str, at: str) -> None:
    if name == "AdamW-fused":
        # Its kernel rounds the last few entries of a tensor, which no vector is filled with, otherwise.
        torch.testing.assert_close(actual, expected, rtol=1e-6, atol=1e-7)
    else:
        assert torch.equal(actual, expected), at


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_new_entries_step_as_with_a_new_optimizer_and_old_ones_as_before(name):
    make = OPTIMIZERS[name]
    weight = nn.Parameter(drawn(4, 3))
    never = nn.Parameter(weight.detach().clone())
    optimizer, untouched = make([weight]), make([never])
    before = drawn(7, 4, 3)
    steps(weight, optimizer, before)
    steps(never, untouched, before)
    grow(weight, optimizer, 0, 2)
    new = nn.Parameter(weight.detach()[4:].clone())
    beginning = make([new])
    after = drawn(9, 6, 3)
    actual = steps(weight, optimizer, after)
    old = steps(never, untouched, after[:, :4])
    fresh = steps(new, beginning, after[:, 4:])
    for step in range(9):
        assert_same(actual[step][:4], old[step], name=name, at=f"old entries, step {step}")
        assert_same(actual[step][4:], fresh[step], name=name, at=f"new entries, step {step}")
    for key, value in untouched.state[never].items():
        mine = optimizer.state[weight][key]
        if isinstance(value, torch.Tensor) and value.shape == never.shape:
            assert_same(mine[:4], value, name=name, at=key)
            assert_same(mine[4:], beginning.state[new][key], name=name, at=key)


@pytest.mark.parametrize("name", ["AdamW", "NAdam", "SGD-momentum", "ASGD"])
def test_each_of_several_changes_has_its_own_age(name):
    make = OPTIMIZERS[name]
    weight = nn.Parameter(drawn(2, 2))
    optimizer = make([weight])
    steps(weight, optimizer, drawn(3, 2, 2))
    parts = []
    gradients = drawn(12, 4, 4)
    made = 0
    for dim, new in ((0, 1), (1, 2), (0, 1)):
        rows, columns = weight.shape
        grow(weight, optimizer, dim, new)
        # What is new now, as tensors of their own.
        place = (slice(rows, None), slice(None)) if dim == 0 else (slice(None), slice(columns, None))
        own = nn.Parameter(weight.detach()[place].clone())
        shape = (slice(None, weight.shape[0]), slice(None, weight.shape[1]))
        parts.append((own, make([own]), place, shape))
        for gradient in gradients[made : made + 4]:
            whole = gradient[shape]
            weight.grad = whole.clone()
            optimizer.step()
            for own, beginning, where, was in parts:
                own.grad = gradient[was][where].clone()
                beginning.step()
        made += 4
    for own, _, where, was in parts:
        now = weight.detach()[was][where]
        assert torch.equal(now, own.detach())


def test_entries_of_every_age_keep_their_moments_where_others_are_pruned():
    weight = nn.Parameter(drawn(4, 3))
    optimizer = optim.AdamW([weight], lr=0.01)
    steps(weight, optimizer, drawn(5, 4, 3))
    grow(weight, optimizer, 0, 2)
    steps(weight, optimizer, drawn(2, 6, 3))
    moments = optimizer.state[weight]["exp_avg"].clone()
    kept = torch.tensor([0, 2, 5])
    model = nn.Module()
    model.weight = weight
    surgery = Surgery(model)
    change = Reindexing(dim=0, gather=kept, fresh=torch.zeros(3, dtype=torch.bool))
    surgery.replace(weight, weight.detach()[kept], change)
    follow_with_optimizer(surgery, optimizer, {id(weight): "weight"})
    assert torch.equal(optimizer.state[weight]["exp_avg"], moments[kept])
    record = optimizer.state[weight][KEY]
    assert record["cohort_of"][0] == [0, 0, 1]
    assert [scalars["step"].item() for scalars in record["scalars"]] == [2]


def test_cohorts_are_forgotten_once_all_of_them_are_pruned():
    weight = nn.Parameter(drawn(4, 3))
    optimizer = optim.AdamW([weight], lr=0.01)
    steps(weight, optimizer, drawn(5, 4, 3))
    grow(weight, optimizer, 0, 2)
    steps(weight, optimizer, drawn(2, 6, 3))
    model = nn.Module()
    model.weight = weight
    surgery = Surgery(model)
    change = Reindexing(dim=0, gather=torch.arange(4), fresh=torch.zeros(4, dtype=torch.bool))
    surgery.replace(weight, weight.detach()[:4], change)
    follow_with_optimizer(surgery, optimizer, {id(weight): "weight"})
    assert KEY not in optimizer.state[weight]
    assert KEY not in optimizer.param_groups[0]
    surgery.take_back()
    assert KEY in optimizer.state[weight]
    assert KEY in optimizer.param_groups[0]
    steps(weight, optimizer, drawn(2, 6, 3))


def test_a_saturated_cohort_is_stepped_with_all_others():
    weight = nn.Parameter(drawn(4, 3).double())
    optimizer = optim.Adam([weight], lr=0.01, betas=(0.2, 0.3))
    steps(weight, optimizer, drawn(20, 4, 3).double())
    grow(weight, optimizer, 0, 2)
    new = nn.Parameter(weight.detach()[4:].clone())
    beginning = optim.Adam([new], lr=0.01, betas=(0.2, 0.3))
    gradients = drawn(40, 6, 3).double()
    actual = steps(weight, optimizer, gradients)
    fresh = steps(new, beginning, gradients[:, 4:])
    assert KEY not in optimizer.state[weight]
    assert KEY not in optimizer.param_groups[0]
    # The last of its own steps was within rounding of single precision of the next.
    torch.testing.assert_close(actual[-1][4:], fresh[-1], rtol=1e-7, atol=1e-8)


def test_skipped_parameters_do_not_age():
    weight, other = nn.Parameter(drawn(4, 3)), nn.Parameter(drawn(2))
    optimizer = optim.AdamW([weight, other], lr=0.01)
    steps(weight, optimizer, drawn(5, 4, 3))
    grow(weight, optimizer, 0, 2)
    weight.grad = None
    other.grad = drawn(2)
    before = weight.detach().clone()
    optimizer.step()
    assert torch.equal(weight, before)
    assert optimizer.state[weight][KEY]["scalars"] == [{}]


def test_a_closure_is_called_once():
    weight = nn.Parameter(drawn(4, 3))
    optimizer = optim.AdamW([weight], lr=0.01)
    steps(weight, optimizer, drawn(5, 4, 3))
    grow(weight, optimizer, 0, 2)
    new = nn.Parameter(weight.detach()[4:].clone())
    gradient, calls = drawn(6, 3), []

    def closure() -> float:
        calls.append(None)
        weight.grad = gradient.clone()
        return 1.5

    weight.grad = None
    assert optimizer.step(closure) == 1.5
    assert len(calls) == 1
    assert torch.equal(weight.detach()[4:], steps(new, optim.AdamW([new], lr=0.01), gradient[None, 4:])[0])


@pytest.mark.parametrize("how", ["load_state_dict", "deepcopy", "torch.save", "bfloat16"])
def test_ages_go_along_with_the_state(how):
    dtype = torch.bfloat16 if how == "bfloat16" else torch.float32
    weight = nn.Parameter(drawn(4, 3).to(dtype))
    optimizer = optim.AdamW([weight], lr=0.01)
    # More steps than bfloat16 can count.
    steps(weight, optimizer, drawn(300, 4, 3).to(dtype))
    grow(weight, optimizer, 0, 2)
    steps(weight, optimizer, drawn(3, 6, 3).to(dtype))
    if how == "deepcopy":
        other, again = copy.deepcopy((weight, optimizer))
    else:
        other = nn.Parameter(weight.detach().clone())
        again = optim.AdamW([other], lr=0.5)
        state = optimizer.state_dict()
        if how == "torch.save":
            file = io.BytesIO()
            torch.save(state, file)
            file.seek(0)
            state = torch.load(file, weights_only=True)
        again.load_state_dict(copy.deepcopy(state))
    gradients = drawn(4, 6, 3).to(dtype)
    for one, two in zip(steps(weight, optimizer, gradients), steps(other, again, gradients), strict=True):
        assert torch.equal(one, two)
    (scalars,) = again.state[other][KEY]["scalars"]
    assert scalars["step"] == 7


def test_an_optimizer_without_cohorts_gets_no_hook():
    weight = nn.Parameter(drawn(4, 3))
    optimizer = optim.AdamW([weight], lr=0.01)
    steps(weight, optimizer, drawn(2, 4, 3))
    assert not optimizer._optimizer_step_pre_hooks
    assert not optimizer._optimizer_step_post_hooks


def test_hooks_of_the_user_see_what_came_out():
    weight = nn.Parameter(drawn(4, 3))
    optimizer = optim.AdamW([weight], lr=0.01)
    optimizer.register_step_post_hook(lambda *_: weight.data.clamp_(-0.1, 0.1))
    steps(weight, optimizer, drawn(5, 4, 3))
    grow(weight, optimizer, 0, 2)
    steps(weight, optimizer, drawn(5, 6, 3))
    assert weight.abs().max() <= 0.1


def test_a_scaler_that_finds_inf_leaves_new_entries_alone():
    weight = nn.Parameter(drawn(4, 3))
    optimizer = optim.AdamW([weight], lr=0.01, fused=True)
    steps(weight, optimizer, drawn(5, 4, 3))
    grow(weight, optimizer, 0, 2)
    scaler = torch.amp.GradScaler("cpu", init_scale=8.0)
    new = nn.Parameter(weight.detach()[4:].clone())
    beginning = optim.AdamW([new], lr=0.01, fused=True)
    for gradient in (drawn(6, 3), drawn(6, 3) * float("inf"), drawn(6, 3) / 3):
        weight.grad = scaler.scale(gradient.clone())
        before = weight.detach().clone()
        scaler.step(optimizer)
        scaler.update()
        if not gradient.isfinite().all():
            assert torch.equal(weight, before)
            continue
        new.grad = gradient[4:].clone()
        beginning.step()
        torch.testing.assert_close(weight.detach()[4:], new.detach(), rtol=0, atol=1e-7)


@pytest.mark.gpu
@pytest.mark.parametrize(
    "options", [{"fused": True}, {"capturable": True}, {"foreach": True}, {"foreach": False}]
)
def test_on_a_gpu_new_entries_step_as_with_a_new_optimizer(options):
    weight = nn.Parameter(drawn(4, 3).cuda())
    never = nn.Parameter(weight.detach().clone())
    optimizer, untouched = (optim.AdamW([one], lr=0.01, **options) for one in (weight, never))
    before = drawn(7, 4, 3).cuda()
    steps(weight, optimizer, before)
    steps(never, untouched, before)
    grow(weight, optimizer, 0, 2)
    new = nn.Parameter(weight.detach()[4:].clone())
    after = drawn(9, 6, 3).cuda()
    actual = steps(weight, optimizer, after)[-1]
    torch.testing.assert_close(actual[:4], steps(never, untouched, after[:, :4])[-1], rtol=1e-6, atol=1e-7)
    fresh = steps(new, optim.AdamW([new], lr=0.01, **options), after[:, 4:])[-1]
    torch.testing.assert_close(actual[4:], fresh, rtol=1e-6, atol=1e-7)
