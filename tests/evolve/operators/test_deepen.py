"""More blocks and layers, the same outputs."""

import copy
import io

import pytest
import torch
from torch import Tensor, nn

from outgrow import evolve
from outgrow.errors import InputError
from outgrow.evolve.edits.outputs import output_tensors, relative_change
from outgrow.evolve.errors import SiteNotFound, SiteRefused


class _Block(nn.Module):
    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(channels, channels, 3, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(channels)
        self.conv2 = nn.Conv2d(channels, channels, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(channels)

    def forward(self, x: Tensor) -> Tensor:
        out = torch.relu(self.bn1(self.conv1(x)))
        return torch.relu(self.bn2(self.conv2(out)) + x)


class _ResNet(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(3, 8, 3, padding=1), nn.BatchNorm2d(8), nn.ReLU())
        self.layer1 = nn.Sequential(_Block(8), _Block(8))
        self.alone = _Block(8)
        self.fc = nn.Linear(8, 5)

    def forward(self, x: Tensor) -> Tensor:
        return self.fc(self.alone(self.layer1(self.stem(x))).mean((2, 3)))


class _Chain(nn.Module):
    """Functional ReLUs, one that is a module, one that is called twice."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, 6, 3, padding=1)
        self.conv2 = nn.Conv2d(6, 6, 3, padding=1)
        self.relu = nn.ReLU()
        self.twice = nn.ReLU()
        self.fc1 = nn.Linear(6, 7)
        self.fc2 = nn.Linear(7, 4)

    def forward(self, x: Tensor) -> Tensor:
        x = self.relu(self.conv2(torch.relu(self.conv1(x)))).mean((2, 3))
        return self.fc2(torch.tanh(self.twice(self.twice(self.fc1(x)))))


def _shaken(model: nn.Module) -> nn.Module:
    with torch.no_grad():
        for tensor in [*model.parameters(), *(b for b in model.buffers() if b.is_floating_point())]:
            tensor.add_(torch.rand_like(tensor) * 0.3)
    return model


def _gpt2():
    transformers = pytest.importorskip("transformers")
    config = transformers.GPT2Config(n_layer=2, n_embd=16, n_head=4, vocab_size=61, n_positions=32)
    return _shaken(transformers.GPT2LMHeadModel(config))


def _llama():
    transformers = pytest.importorskip("transformers")
    config = transformers.LlamaConfig(
        hidden_size=16,
        intermediate_size=24,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        vocab_size=61,
    )
    return _shaken(transformers.LlamaForCausalLM(config))


def _gemma2():
    transformers = pytest.importorskip("transformers")
    config = transformers.Gemma2Config(
        hidden_size=16,
        intermediate_size=24,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        head_dim=4,
        vocab_size=61,
        sliding_window=4,
        pad_token_id=0,
        bos_token_id=1,
        eos_token_id=2,
    )
    return _shaken(transformers.Gemma2ForCausalLM(config))


def _t5():
    transformers = pytest.importorskip("transformers")
    config = transformers.T5Config(d_model=16, d_kv=4, d_ff=24, num_layers=2, num_heads=4, vocab_size=61)
    return _shaken(transformers.T5ForConditionalGeneration(config))


_TOKENS = torch.randint(1, 60, (2, 7), generator=torch.Generator().manual_seed(0))
_IMAGES = torch.randn(4, 3, 8, 8, generator=torch.Generator().manual_seed(0))
_MODELS = {
    "resnet": (lambda: _shaken(_ResNet()), _IMAGES, "layer1.0"),
    "block-alone": (lambda: _shaken(_ResNet()), _IMAGES, "alone"),
    "gpt2": (_gpt2, _TOKENS, "transformer.h.0"),
    "llama": (_llama, _TOKENS, "model.layers.1"),
    "gemma2-post-norms": (_gemma2, _TOKENS, "model.layers.0"),
    "t5-first-block": (_t5, {"input_ids": _TOKENS, "decoder_input_ids": _TOKENS[:, :3]}, "encoder.block.0"),
    "chain-behind": (_Chain, _IMAGES, "relu"),
    "chain-before": (_Chain, _IMAGES, "conv2"),
}


def _call(model: nn.Module, inputs) -> dict[str, Tensor]:
    with torch.no_grad():
        return output_tensors(model(**inputs) if isinstance(inputs, dict) else model(inputs))


@pytest.mark.parametrize("case", list(_MODELS))
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32], ids=["fp64", "fp32"])
def test_outputs_stay_and_undo_is_bit_exact(case: str, dtype: torch.dtype) -> None:
    make, inputs, name = _MODELS[case]
    torch.manual_seed(0)
    model = make().to(dtype)
    if isinstance(inputs, Tensor) and inputs.is_floating_point():
        inputs = inputs.to(dtype)
    state = {key: value.clone() for key, value in model.state_dict().items()}
    expected = _call(model.eval(), inputs)
    edit = evolve.deepen(model, name, example_inputs=inputs)
    assert edit.promise == "exact"
    assert relative_change(_call(model, inputs), expected) <= {torch.float64: 1e-12}.get(dtype, 1e-5)
    assert len(model.state_dict()) > len(state)
    edit.undo(model)
    assert list(model.state_dict()) == list(state)
    assert all(torch.equal(value, state[key]) for key, value in model.state_dict().items())


@pytest.mark.parametrize("case", ["resnet", "llama", "chain-behind", "chain-before"])
def test_outputs_stay_in_train_mode_and_new_weights_learn(case: str) -> None:
    make, inputs, name = _MODELS[case]
    torch.manual_seed(0)
    model = make().train()
    before = _call(copy.deepcopy(model), inputs)
    known = set(model.parameters())
    evolve.deepen(model, name, example_inputs=inputs)
    assert relative_change(_call(copy.deepcopy(model), inputs), before) <= 1e-5
    new = [one for one in model.parameters() if one not in known]
    start = [one.detach().clone() for one in new]
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-2)
    for _ in range(3):
        output = next(iter(output_tensors(model(inputs)).values()))
        optimizer.zero_grad()
        output.square().mean().backward()
        optimizer.step()
    assert all(not torch.equal(one, was) for one, was in zip(new, start, strict=True))


@pytest.mark.parametrize("case", ["gpt2", "llama", "gemma2-post-norms"])
def test_generating_with_a_cache_agrees_once_the_new_block_has_learned(case: str) -> None:
    make, inputs, name = _MODELS[case]
    torch.manual_seed(0)
    model = make().eval()
    evolve.deepen(model, name, 2, example_inputs=inputs)
    config = vars(model.config)
    assert config.get("n_layer", config.get("num_hidden_layers")) == 4
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(torch.randn_like(parameter) * 0.1)
    options = {"max_new_tokens": 6, "do_sample": False, "pad_token_id": 0}
    options["attention_mask"] = torch.ones_like(inputs)
    with_cache = model.generate(inputs, use_cache=True, **options)
    assert torch.equal(with_cache, model.generate(inputs, use_cache=False, **options))


def test_lists_with_an_entry_a_layer_grow_with_it() -> None:
    model = _gemma2()
    before = list(model.config.layer_types)
    edit = evolve.deepen(model, "model.layers.0", example_inputs=_TOKENS)
    assert list(model.config.layer_types) == [before[0], *before]
    assert [layer.self_attn.layer_idx for layer in model.model.layers] == [0, 1, 2]
    edit.undo(model)
    assert list(model.config.layer_types) == before
    assert [layer.self_attn.layer_idx for layer in model.model.layers] == [0, 1]


def test_blocks_with_a_norm_behind_the_sum_are_refused_and_not_listed() -> None:
    transformers = pytest.importorskip("transformers")
    config = transformers.BertConfig(
        hidden_size=16, intermediate_size=24, num_hidden_layers=2, num_attention_heads=4, vocab_size=61
    )
    model = transformers.BertModel(config)
    assert evolve.sites(model, _TOKENS, kind="deepen") == []
    with pytest.raises(SiteRefused, match=r"encoder\.layer\.0"):
        evolve.deepen(model, "encoder.layer.0", example_inputs=_TOKENS)


def test_an_encoder_that_goes_past_its_parts_in_eval_mode_gets_whole_layers_only() -> None:
    layer = nn.TransformerEncoderLayer(8, 2, 12, norm_first=True, batch_first=True)
    model = nn.TransformerEncoder(layer, 2, enable_nested_tensor=False)
    found = evolve.sites(model, torch.randn(2, 4, 8), kind="deepen")
    assert [site.name for site in found] == ["layers.0", "layers.1"]


def test_an_activation_that_is_called_twice_is_no_site() -> None:
    found = evolve.sites(_Chain(), _IMAGES, kind="deepen")
    assert [site.name for site in found] == ["conv2", "relu"]


def test_hooks_stay_where_they_were_and_settings_are_taken_over() -> None:
    model = _ResNet()
    calls: list[nn.Module] = []
    model.layer1[0].conv1.register_forward_hook(lambda module, args, output: calls.append(module))
    model.layer1[0].conv1.weight.requires_grad_(False)
    model.layer1[0].bn1.eval()
    evolve.deepen(model, "layer1.0", example_inputs=_IMAGES)
    copied = model.layer1[1]
    assert not copied.conv1._forward_hooks
    assert not copied.conv1.weight.requires_grad
    assert not copied.bn1.training
    calls.clear()
    model(_IMAGES)
    assert calls == [model.layer1[0].conv1]
    assert copied.conv1.weight is not model.layer1[0].conv1.weight


def test_a_block_whose_last_layer_is_frozen_is_no_site() -> None:
    model = _ResNet()
    for block in [*model.layer1, model.alone]:
        block.bn2.requires_grad_(False)
    found = evolve.sites(model, _IMAGES, kind="deepen")
    assert {site.methods for site in found} == {("identity",)}


def test_a_grown_model_can_be_copied_and_saved() -> None:
    model = _ResNet().eval()
    evolve.deepen(model, "stem.2", example_inputs=_IMAGES)
    file = io.BytesIO()
    torch.save(copy.deepcopy(model).state_dict(), file)
    file.seek(0)
    model.load_state_dict(torch.load(file))


def test_the_new_weights_join_the_optimizer_and_the_average() -> None:
    model = _ResNet()
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3)
    ema = torch.optim.swa_utils.AveragedModel(model)
    evolve.deepen(model, "layer1.0", example_inputs=_IMAGES, optimizer=optimizer, ema=ema)
    held = {id(one) for group in optimizer.param_groups for one in group["params"]}
    assert {id(one) for one in model.parameters()} <= held
    ema.update_parameters(model)


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        ({"site": "layer1.9"}, SiteNotFound),
        ({"site": "layer1.0", "copies": 0}, InputError),
        ({"site": "layer1.0", "copies": 1.5}, InputError),
        ({"site": "layer1.0", "kernel_size": 3}, SiteRefused),
        ({"site": "stem.2", "kernel_size": 2}, SiteRefused),
        ({"site": "fc"}, SiteRefused),
    ],
    ids=str,
)
def test_bad_input_is_refused_before_anything_changes(arguments, error) -> None:
    model = _ResNet()
    before = list(model.state_dict())
    with pytest.raises(error) as caught:
        evolve.deepen(model, **arguments, example_inputs=_IMAGES)
    assert caught.value.hint
    assert list(model.state_dict()) == before


def test_ctrl_c_leaves_the_model_as_it_was(monkeypatch) -> None:
    from outgrow.evolve.edits import operation

    model = _ResNet()
    before = list(model.state_dict())

    def interrupted(*args, **kwargs) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(operation, "check_promise", interrupted)
    with pytest.raises(KeyboardInterrupt):
        evolve.deepen(model, "layer1.0", example_inputs=_IMAGES)
    assert list(model.state_dict()) == before
