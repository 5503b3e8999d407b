"""What cannot follow a change is refused before anything has changed."""

import copy

import pytest
import torch
from torch import Tensor, nn, optim
from torch.optim import lr_scheduler as schedulers
from torch.optim.swa_utils import AveragedModel

from outgrow.errors import InputError
from outgrow.evolve.carry.followers import Followers
from outgrow.evolve.carry.refused import CannotFollow
from outgrow.evolve.surgery.surgery import Reindexing, Surgery
from tests.evolve.carry.trained_net import TOKENS, Net, assert_unchanged, state_of, step, trained, widen


def test_a_gradient_that_cannot_follow_is_refused():
    model = nn.Sequential(nn.Embedding(5, 4, sparse=True), nn.Linear(4, 3))
    tokens = torch.arange(5)
    model(tokens).sum().backward()
    with pytest.raises(InputError, match="sparse gradient"):
        Surgery(model).replace(
            model[0].weight,
            torch.zeros(5, 5),
            Reindexing(dim=1, gather=torch.arange(5) % 4, fresh=torch.arange(5) > 3),
        )
    model[1].zero_grad(set_to_none=False)
    with pytest.raises(InputError, match="exchanged whole"):
        Surgery(model).replace(model[1].weight, torch.zeros(7, 4))


def refused(model: nn.Module, error: type[Exception], match: str, **given: object) -> None:
    before = copy.deepcopy(model.state_dict())
    with pytest.raises(error, match=match):
        widen(model, **given)
    assert str(before) == str(model.state_dict())


def test_an_optimizer_that_does_not_hold_the_model_is_refused_with_numbers():
    model = Net()
    refused(model, InputError, r"holds none of the 7 .* 'embed.weight'", optimizer=trained(Net()))
    some = optim.AdamW(model.first.parameters())
    refused(model, InputError, r"holds 2 of the 7", optimizer=some)
    refused(model, InputError, r"optimizer is a str", optimizer="adam")


def test_kinds_that_cannot_follow_are_refused_by_name():
    model = Net()
    lbfgs = optim.LBFGS(model.parameters())
    widen(model, optimizer=lbfgs)

    def closure() -> Tensor:
        lbfgs.zero_grad()
        loss = nn.functional.cross_entropy(model(TOKENS), TOKENS)
        loss.backward()
        return loss

    lbfgs.step(closure)
    refused(model, CannotFollow, "LBFGS", optimizer=lbfgs)
    factored = trained(model, optim.Adafactor(model.parameters(), lr=0.01), steps=1)
    refused(model, CannotFollow, "Adafactor keeps 'row_var' of shape", optimizer=factored)
    graph = optim.Adam(model.parameters(), differentiable=True)
    refused(model, CannotFollow, "differentiable=True", optimizer=graph)


def test_a_scheduler_of_another_optimizer_is_refused():
    model = Net()
    optimizer = trained(model)
    other = schedulers.StepLR(trained(Net()), 1)
    refused(model, InputError, "StepLR is of another optimizer", optimizer=optimizer, scheduler=other)
    refused(model, InputError, "scheduler is a str", optimizer=optimizer, scheduler="cosine")


def test_an_average_of_another_model_is_refused():
    model = Net()
    refused(model, InputError, "ema is a dict", ema={})
    refused(model, InputError, "the model itself", ema=model)
    refused(model, InputError, r"'embed.weight' has shape none in the average", ema=nn.Linear(3, 3))
    ema = AveragedModel(model)
    widen(model)
    refused(model, InputError, r"'first.weight' has shape \[8, 6\] in the average and \[11, 6\]", ema=ema)


def test_scripted_models_and_lazy_ones_are_refused():
    with pytest.raises(CannotFollow, match="has no shape yet"):
        Followers().check(nn.Sequential(nn.LazyLinear(3)))


@pytest.mark.parametrize("error", [CannotFollow("no"), KeyboardInterrupt()])
def test_whatever_goes_wrong_on_the_way_leaves_everything_as_it_was(error, monkeypatch):
    model = Net()
    optimizer = trained(model)
    ema = AveragedModel(model)
    before, average = state_of(model, optimizer), copy.deepcopy(ema.state_dict())
    real, calls = Surgery.replace, []

    def failing(self: Surgery, *given: object) -> None:
        real(self, *given)
        if self.model is ema.module:
            calls.append(self)
            if len(calls) == 2:
                raise error

    monkeypatch.setattr(Surgery, "replace", failing)
    with pytest.raises(type(error)):
        widen(model, optimizer=optimizer, ema=ema)
    monkeypatch.undo()
    assert_unchanged(model, optimizer, before)
    assert str(average) == str(ema.state_dict())
    step(model, optimizer)
