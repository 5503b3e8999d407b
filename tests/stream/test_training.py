"""Adapters train through streamed weights as through resident ones: equal losses, equal gradients."""

import pytest
import torch
import transformers
from torch import nn
from torch.utils.checkpoint import checkpoint

import outgrow.stream as ts
from outgrow.errors import InputError
from outgrow.stream import closing
from tests.stream.streaming import Ballast, assert_same, llama, streamed, token_ids
from tests.stream.tiny_models import GPT2, make_model

LARGE = {"hidden_size": 64, "intermediate_size": 160, "num_hidden_layers": 3}
LARGER_GPT2 = {**GPT2, "n_embd": 64, "n_layer": 3}


def tall():
    return llama(**LARGE)


def gpt2():
    return make_model("GPT2LMHeadModel", LARGER_GPT2, torch.float32)


class Adapted(nn.Module):
    """A low-rank addition to a layer, made by hand."""

    def __init__(self, inner, seed):
        super().__init__()
        generator = torch.Generator().manual_seed(seed)
        outputs, inputs = inner.weight.shape
        self.inner = inner
        self.down = nn.Parameter(torch.randn(4, inputs, generator=generator) / 10)
        self.up = nn.Parameter(torch.randn(outputs, 4, generator=generator) / 10)

    def forward(self, x):
        return self.inner(x) + x @ self.down.T @ self.up.T


def adapted(model):
    model.requires_grad_(False)
    for seed, layer in enumerate(model.model.layers):
        layer.mlp.down_proj = Adapted(layer.mlp.down_proj, seed)
        layer.self_attn.q_proj = Adapted(layer.self_attn.q_proj, 10 + seed)
    return model


def step(model, **options):
    model(token_ids(2), labels=token_ids(2), **options).loss.backward()
    return {name: p.grad for name, p in model.named_parameters() if p.grad is not None}


def assert_trains_the_same(actual, expected, steps=3):
    trained = [[p for p in model.parameters() if p.requires_grad] for model in (actual, expected)]
    assert len(trained[0]) == len(trained[1]) > 0
    optimizers = [torch.optim.Adam(parameters, lr=1e-2) for parameters in trained]
    for _ in range(steps):
        ours, theirs = step(actual), step(expected)
        assert set(ours) == set(theirs)
        for name in ours:
            assert torch.equal(ours[name], theirs[name]), name
        for optimizer in optimizers:
            optimizer.step()
            optimizer.zero_grad()
    with torch.no_grad():
        assert_same(actual(token_ids()).logits, expected(token_ids()).logits)


def test_adapters_made_by_hand(tmp_path):
    assert_trains_the_same(adapted(streamed(tall(), tmp_path)), adapted(tall()))


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("targets", [["q_proj", "down_proj"], "all-linear"], ids=["two", "all"])
def test_lora_of_peft(targets, tmp_path):
    peft = pytest.importorskip("peft")
    models = []
    for base in (streamed(tall(), tmp_path / "store"), tall()):
        torch.manual_seed(1)
        config = peft.LoraConfig(r=4, target_modules=targets, init_lora_weights=False, lora_dropout=0.0)
        models.append(peft.get_peft_model(base, config))
    assert_trains_the_same(*models, steps=2)
    assert ts.statistics(models[0]).passes == 3
    for name, model in zip(("ours", "theirs"), models, strict=True):
        model.save_pretrained(tmp_path / name)
    files = [(tmp_path / name / "adapter_model.safetensors").read_bytes() for name in ("ours", "theirs")]
    assert files[0] == files[1]


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("use_reentrant", [True, False])
def test_gradient_checkpointing(use_reentrant, tmp_path):
    # Closed by hand: what torch recomputes without reentrance keeps a streamed model alive.
    with closing(streamed(tall(), tmp_path)) as base:
        models = []
        for plain in (base, tall()):
            model = adapted(plain).train()
            model.gradient_checkpointing_enable({"use_reentrant": use_reentrant})
            if use_reentrant:
                model.enable_input_require_grads()
            models.append(model)
        ours, theirs = step(models[0], use_cache=False), step(models[1], use_cache=False)
        assert set(ours) == set(theirs)
        for name in ours:
            assert torch.equal(ours[name], theirs[name]), name


def test_gpt2_with_a_trained_prompt(tmp_path):
    """Conv1D computes with `addmm` and its weight transposed."""
    results = []
    for model in (streamed(gpt2(), tmp_path), gpt2().requires_grad_(False)):
        prompt = nn.Parameter(torch.randn(1, 4, 64, generator=torch.Generator().manual_seed(0)))
        embedded = torch.cat([prompt, model.transformer.wte(token_ids())], 1)
        model(inputs_embeds=embedded).logits.square().mean().backward()
        results.append(prompt.grad)
    assert results[0].abs().sum() > 0
    assert torch.equal(*results)


KINDS = {
    "convolutions": (
        lambda: nn.Sequential(nn.Conv2d(4, 32, 3), nn.GroupNorm(4, 32), nn.ConvTranspose2d(32, 8, 3)),
        (2, 4, 8, 8),
    ),
    "attention": (lambda: nn.TransformerEncoderLayer(48, 4, 96, dropout=0.0, batch_first=True), (2, 5, 48)),
    "a large linear": (lambda: nn.Sequential(nn.Linear(48, 700), nn.GELU(), nn.Linear(700, 48)), (3, 48)),
    "GRU": (lambda: nn.GRU(48, 40, batch_first=True), (2, 5, 48)),
    "embeddings": (lambda: nn.Bilinear(24, 24, 48), (3, 24)),
}  # fmt: skip


@pytest.mark.parametrize("kind", KINDS)
def test_gradients_of_inputs(kind, tmp_path):
    make, shape = KINDS[kind]
    torch.manual_seed(0)
    expected = Ballast(make()).requires_grad_(False)
    torch.manual_seed(0)
    actual = streamed(Ballast(make()), tmp_path)
    gradients = []
    for model in (actual, expected):
        for _ in range(2):
            x = torch.randn(shape, generator=torch.Generator().manual_seed(1), requires_grad=True)
            result, _ = model(x, x) if kind == "embeddings" else model(x)
            result = result[0] if isinstance(result, tuple) else result
            result.square().sum().backward()
        gradients.append(x.grad)
    assert torch.equal(*gradients)


def test_backward_after_other_passes(tmp_path):
    """The window has held other weights in the meantime."""
    model, resident = adapted(streamed(tall(), tmp_path)), adapted(tall())
    losses = [m(token_ids(), labels=token_ids()).loss for m in (model, resident)]
    with torch.no_grad():
        for seed in range(3):
            assert_same(model(token_ids(seed=seed)).logits, resident(token_ids(seed=seed)).logits)
    for loss in losses:
        loss.backward()
    for (name, one), other in zip(model.named_parameters(), resident.parameters(), strict=True):
        if other.grad is not None:
            assert torch.equal(one.grad, other.grad), name


def test_backward_after_another_plan(tmp_path):
    model, resident = adapted(streamed(tall(), tmp_path)), adapted(tall())
    losses = [m(token_ids(), labels=token_ids()).loss for m in (model, resident)]
    ts.set_budget(model, int(ts.statistics(model).budget_bytes * 1.5))
    for loss in losses:
        loss.backward()
    for one, other in zip(model.parameters(), resident.parameters(), strict=True):
        if other.grad is not None:
            assert torch.equal(one.grad, other.grad)


def test_a_checkpointed_function_around_a_streamed_part(tmp_path):
    model = streamed(Ballast(nn.Linear(48, 700)), tmp_path)
    x = torch.randn(3, 48, requires_grad=True)
    checkpoint(model.inner, x, use_reentrant=False).square().sum().backward()
    torch.manual_seed(0)
    weight, bias = model.inner.weight.detach().clone(), model.inner.bias.detach().clone()
    y = x.detach().clone().requires_grad_()
    nn.functional.linear(y, weight, bias).square().sum().backward()
    assert torch.equal(x.grad, y.grad)


def test_streamed_weights_cannot_be_trained(tmp_path):
    model = streamed(tall(), tmp_path)
    assert not any(parameter.requires_grad for parameter in model.parameters())
    with pytest.raises(InputError, match="cannot be trained") as error:
        model.model.layers[0].mlp.up_proj.weight.requires_grad_()
    assert error.value.hint
    with pytest.raises((RuntimeError, ValueError)):
        model(token_ids(), labels=token_ids()).loss.backward()


@pytest.mark.filterwarnings("ignore")
@pytest.mark.slow
def test_the_trainer_of_transformers(tmp_path):
    pytest.importorskip("accelerate")
    losses = []
    for number, base in enumerate((streamed(tall(), tmp_path / "store"), tall())):
        model = adapted(base)
        arguments = transformers.TrainingArguments(
            output_dir=tmp_path / f"out{number}", max_steps=3, per_device_train_batch_size=2, report_to=[],
            save_strategy="no", use_cpu=True, logging_steps=1, seed=0, disable_tqdm=True,
        )  # fmt: skip
        rows = [
            {"input_ids": token_ids(seed=seed)[0], "labels": token_ids(seed=seed)[0]} for seed in range(8)
        ]
        trainer = transformers.Trainer(model=model, args=arguments, train_dataset=rows)
        trainer.train()
        losses.append([entry["loss"] for entry in trainer.state.log_history if "loss" in entry])
    assert len(losses[0]) == 3
    assert losses[0] == losses[1]
