"""Attention that begins at zero, and looks ahead only where the model does."""

import copy

import pytest
import torch
from torch import Tensor, nn

from outgrow import evolve
from outgrow.errors import InputError
from outgrow.evolve.edits.outputs import output_tensors
from outgrow.evolve.errors import SiteNotFound, SiteRefused
from outgrow.evolve.layers.attention import Followed, ResidualAttention

_TOKENS = torch.randint(1, 60, (2, 7), generator=torch.Generator().manual_seed(0))
_IMAGES = torch.randn(2, 3, 6, 6, generator=torch.Generator().manual_seed(0))
_ROWS = torch.randn(2, 5, 8, generator=torch.Generator().manual_seed(0))


class _Net(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.features = nn.Sequential(nn.Conv2d(3, 8, 3, padding=1), nn.ReLU(), nn.Conv2d(8, 8, 3))
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.head = nn.Linear(8, 5)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.pool(self.features(x)).flatten(1))


class _Tokenwise(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.one = nn.Linear(8, 8)
        self.two = nn.Linear(8, 8)

    def forward(self, x: Tensor) -> Tensor:
        return self.two(torch.relu(self.one(x)))


def _encoder() -> nn.Module:
    layer = nn.TransformerEncoderLayer(8, 2, 12, norm_first=True, batch_first=True, dropout=0.0)
    return nn.TransformerEncoder(layer, 2, enable_nested_tensor=False)


def _gpt2() -> nn.Module:
    transformers = pytest.importorskip("transformers")
    config = transformers.GPT2Config(n_layer=2, n_embd=16, n_head=4, vocab_size=61, n_positions=32)
    return transformers.GPT2LMHeadModel(config)


def _llama() -> nn.Module:
    transformers = pytest.importorskip("transformers")
    config = transformers.LlamaConfig(
        hidden_size=16,
        intermediate_size=24,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        vocab_size=61,
    )
    return transformers.LlamaForCausalLM(config)


_CASES = {
    "map": (_Net, _IMAGES, "features.1", False),
    "encoder": (_encoder, _ROWS, "layers.0", False),
    "gpt2": (_gpt2, _TOKENS, "transformer.h.0", True),
    "llama": (_llama, _TOKENS, "model.layers.1", True),
}


def _first(model: nn.Module, inputs: Tensor) -> Tensor:
    return next(iter(output_tensors(model(inputs)).values()))


def _attention(model: nn.Module) -> ResidualAttention:
    return next(one for one in model.modules() if isinstance(one, ResidualAttention))


@pytest.mark.parametrize("case", _CASES)
def test_outputs_stay_new_weights_learn_and_undo_is_bit_exact(case: str) -> None:
    make, inputs, name, is_causal = _CASES[case]
    torch.manual_seed(0)
    model = make().double().eval()
    inputs = inputs.double() if inputs.is_floating_point() else inputs
    state = {key: value.clone() for key, value in model.state_dict().items()}
    expected = _first(model, inputs).detach()
    edit = evolve.insert_attention(model, name, 2, example_inputs=inputs)
    assert edit.promise == "exact"
    assert edit.arguments["is_causal"] is is_causal
    assert float((_first(model, inputs) - expected).detach().abs().max()) <= 1e-12
    grown = copy.deepcopy(model)
    edit.undo(model)
    assert list(model.state_dict()) == list(state)
    assert all(torch.equal(value, state[key]) for key, value in model.state_dict().items())
    new = list(_attention(grown).parameters())
    start = [one.detach().clone() for one in new]
    optimizer = torch.optim.Adam(grown.parameters(), lr=1e-2)
    for _ in range(3):
        optimizer.zero_grad()
        _first(grown, inputs).square().sum().backward()
        optimizer.step()
    assert all(not torch.equal(one, was) for one, was in zip(new, start, strict=True))


@pytest.mark.parametrize("case", ["gpt2", "llama"])
def test_a_language_model_goes_on_looking_back_only(case: str) -> None:
    make, inputs, name, _ = _CASES[case]
    torch.manual_seed(0)
    model = make().eval()
    evolve.insert_attention(model, name, example_inputs=inputs)
    nn.init.normal_(_attention(model).out_proj.weight)
    before = _first(model, inputs)
    other = inputs.clone()
    other[:, -1] = (other[:, -1] + 1) % 60
    after = _first(model, other)
    assert torch.allclose(after[:, :-1], before[:, :-1], atol=1e-5)
    assert not torch.allclose(after[:, -1], before[:, -1], atol=1e-3)


def test_padding_that_a_model_masks_is_not_looked_at() -> None:
    torch.manual_seed(0)
    model = _llama().eval()
    evolve.insert_attention(model, "model.layers.1", example_inputs=_TOKENS)
    nn.init.normal_(_attention(model).out_proj.weight)
    mask = torch.ones_like(_TOKENS)
    mask[:, :3] = 0
    other = _TOKENS.clone()
    other[:, :3] = 5
    positions = (mask.cumsum(1) - 1).clamp(min=0)
    with torch.no_grad():
        one = model(_TOKENS, attention_mask=mask, position_ids=positions).logits
        two = model(other, attention_mask=mask, position_ids=positions).logits
    assert torch.allclose(one[:, 3:], two[:, 3:], atol=1e-5)


def test_decoding_with_a_cache_is_refused_and_switched_off() -> None:
    model = _llama().eval()
    edit = evolve.insert_attention(model, "model.layers.0", example_inputs=_TOKENS)
    assert not model.config.use_cache
    options = {"max_new_tokens": 3, "do_sample": False, "pad_token_id": 0}
    options["attention_mask"] = torch.ones_like(_TOKENS)
    assert model.generate(_TOKENS, **options).shape == (2, 10)
    with pytest.raises(InputError, match="use_cache=False"):
        model.generate(_TOKENS, use_cache=True, **options)
    edit.undo(model)
    assert model.config.use_cache


def test_a_module_that_would_not_see_the_cache_is_refused() -> None:
    with pytest.raises(SiteRefused, match="cache"):
        evolve.insert_attention(_llama(), "model.norm", example_inputs=_TOKENS)


def test_where_nobody_can_say_whether_to_look_ahead_it_has_to_be_said() -> None:
    model = _Tokenwise()
    assert evolve.sites(model, _ROWS, kind="insert_attention") == []
    with pytest.raises(SiteRefused, match="is_causal"):
        evolve.insert_attention(model, "one", example_inputs=_ROWS)
    evolve.insert_attention(model, "one", example_inputs=_ROWS, is_causal=True)
    assert isinstance(model.one, Followed)
    assert model.one.attention.is_causal


class _Strided(nn.Module):
    """Each place is made of two positions of its own, so that its number is none of the inputs' sizes."""

    def __init__(self) -> None:
        super().__init__()
        self.halve = nn.Conv1d(8, 8, 2, stride=2)
        self.one = nn.Linear(8, 8)

    def forward(self, x: Tensor) -> Tensor:
        return self.one(self.halve(x.transpose(1, 2)).transpose(1, 2))


def test_channels_are_not_taken_for_positions_that_others_look_back_to():
    rows = torch.randn(2, 6, 8, generator=torch.Generator().manual_seed(0))
    with pytest.raises(SiteRefused, match="is_causal"):
        evolve.insert_attention(_Strided(), "one", example_inputs=rows)


def test_a_stack_whose_batch_is_the_second_dim_is_no_site() -> None:
    layer = nn.TransformerEncoderLayer(8, 2, 12, norm_first=True, dropout=0.0)
    model = nn.TransformerEncoder(layer, 1, enable_nested_tensor=False)
    assert evolve.sites(model, _ROWS[:, :2], kind="insert_attention") == []


def test_its_heads_are_a_place_to_widen() -> None:
    torch.manual_seed(0)
    model = _Net().double().eval()
    inputs = _IMAGES.double()
    evolve.insert_attention(model, "features.1", 2, example_inputs=inputs)
    nn.init.normal_(_attention(model).out_proj.weight)
    expected = model(inputs)
    found = {site.name: site for site in evolve.sites(model, inputs)}
    site = found["features.2.q_proj"]
    assert site.step == 4
    evolve.widen(model, site, by=4)
    assert _attention(model).v_proj.out_features == 12
    assert torch.allclose(model(inputs), expected, rtol=0, atol=1e-12)


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        ({"site": "features.9"}, SiteNotFound),
        ({"site": "head"}, SiteRefused),
        ({"site": "features.1", "num_heads": 3}, InputError),
        ({"site": "features.1", "num_heads": 0}, InputError),
        ({"site": "features.1", "norm": "batch"}, InputError),
        ({"site": "features.1", "is_causal": "yes"}, InputError),
    ],
    ids=str,
)
def test_bad_input_is_refused_before_anything_changes(arguments, error) -> None:
    model = _Net()
    before = list(model.state_dict())
    with pytest.raises(error) as caught:
        evolve.insert_attention(model, **arguments, example_inputs=_IMAGES)
    assert caught.value.hint
    assert list(model.state_dict()) == before
