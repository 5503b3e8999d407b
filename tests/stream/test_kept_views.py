"""Views of weights that a module returns or keeps are right, or refused."""

import pytest
import torch
from torch import nn

import outgrow.stream as ts
from outgrow.errors import OutgrowError
from tests.stream.plain_models import built, rows
from tests.stream.streaming import Ballast, assert_same, streamed, twins


@pytest.mark.parametrize("part", ["first", "last"])
def test_a_returned_view_of_a_weight_is_a_copy(part, tmp_path):
    class Views(nn.Module):
        def __init__(self):
            super().__init__()
            self.weight = nn.Parameter(torch.randn(64, 64))

        def forward(self, x):
            return {"first": self.weight[:3], "last": (x @ self.weight, [self.weight.view(-1)[-9:]])}[part]

    class Whole(nn.Module):
        def __init__(self):
            super().__init__()
            self.parts = nn.ModuleList(Views() for _ in range(5))

        def forward(self, x):
            return [part(x) for part in self.parts]

    resident, model = twins(built(Whole), tmp_path)
    (x,) = rows(2, 64)()
    with torch.no_grad():
        wanted = resident(x)
        results = [model(x) for _ in range(3)]
    for result in results:
        assert_same(result, wanted)


class Keeper(nn.Module):
    """Keeps a view of its weight on itself for later."""

    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.randn(64, 64))
        self.stash = None

    def forward(self, x):
        self.stash = self.weight[:5]
        return x @ self.weight


class Keepers(nn.Module):
    def __init__(self):
        super().__init__()
        self.parts = nn.ModuleList(Keeper() for _ in range(5))

    def forward(self, x):
        for part in self.parts:
            x = part(x).tanh()
        return x, [part.stash.clone() for part in self.parts]


def test_views_that_modules_keep_are_right_or_refused(tmp_path):
    model = streamed(built(Keepers), tmp_path)
    (x,) = rows(2, 64)()
    with torch.no_grad(), pytest.raises(OutgrowError, match=r"parts\.\d\.weight.*kept") as error:
        model(x)
    assert "keep_resident" in error.value.hint


def test_views_that_modules_keep_outlive_other_plans(tmp_path):
    resident, model = twins(Ballast(built(Keeper)), tmp_path)
    (x,) = rows(2, 64)()
    with torch.no_grad():
        assert_same(model(x), resident(x))
        ts.set_budget(model, int(ts.statistics(model).budget_bytes * 1.3))
        assert torch.equal(model.inner.stash, resident.inner.stash)
        for _ in range(3):
            assert_same(model(x), resident(x))
            assert torch.equal(model.inner.stash, resident.inner.stash)
    ts.restore(model)
    assert torch.equal(model.inner.stash, resident.inner.stash)


def test_views_that_modules_keep_are_right_where_there_is_room(tmp_path):
    model = built(Keepers)
    resident, model = twins(model, tmp_path, int(sum(p.nbytes for p in model.parameters()) * 0.9))
    (x,) = rows(2, 64)()
    with torch.no_grad():
        wanted = resident(x)
        try:
            results = [model(x) for _ in range(4)]
        except OutgrowError as err:
            assert "keep_resident" in err.hint  # noqa: PT017
            results = []
    for result in results:
        assert_same(result, wanted)
