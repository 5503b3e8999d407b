"""Attention op by op for a moment, whatever holds the setting."""

import pytest
from torch import nn

from outgrow.evolve.sites.attention_paths import has_fused_attention, unfused_attention


class Settings:
    def __init__(self, kind):
        self._attn_implementation = kind


class Configured(nn.Module):
    def __init__(self, config, *children):
        super().__init__()
        self.config = config
        self.parts = nn.ModuleList(children)


def kinds(*configurations):
    return [one._attn_implementation for one in configurations]


@pytest.mark.parametrize(
    ("configurations", "expected"),
    [
        ([], False),
        ([Settings("eager")], False),
        ([Settings("eager"), Settings("sdpa")], True),
        ([Settings(None)], False),
        ([None], False),
        ([object()], False),
    ],
    ids=["no config", "eager", "in a part", "not set", "none", "another object"],
)
def test_fused_attention_is_where_any_configuration_chooses_it(configurations, expected):
    model = nn.Sequential(nn.Linear(2, 2), *(Configured(one) for one in configurations))
    assert has_fused_attention(model) is expected


def test_every_configuration_is_changed_and_gets_its_own_back():
    outer, inner = Settings("sdpa"), Settings("flash")
    # The same one in two places is one: its first value is what it gets back.
    model = Configured(outer, Configured(inner), Configured(outer))
    with unfused_attention(model):
        assert kinds(outer, inner) == ["eager", "eager"]
    assert kinds(outer, inner) == ["sdpa", "flash"]


def test_what_is_not_a_setting_is_left_alone():
    unset = Settings(None)
    with unfused_attention(Configured(unset)):
        assert kinds(unset) == [None]


def test_the_setting_comes_back_when_the_model_raises():
    settings = Settings("sdpa")
    with pytest.raises(ValueError, match="inside"), unfused_attention(Configured(settings)):
        raise ValueError("inside")
    assert kinds(settings) == ["sdpa"]


def test_the_setting_comes_back_where_a_configuration_refuses_another():
    class Strict(Settings):
        def __setattr__(self, name, value):
            if value == "eager":
                raise ValueError("only flash")
            super().__setattr__(name, value)

    first = Settings("sdpa")
    with (
        pytest.raises(ValueError, match="only flash"),
        unfused_attention(Configured(first, Configured(Strict("flash")))),
    ):
        pass
    assert kinds(first) == ["sdpa"]
