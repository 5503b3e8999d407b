"""Unmodified transformers on workers: training and generating."""

import copy

import pytest
import torch
import torch.nn.functional as F

from outgrow.shard.client.session import Session, use_session
from outgrow.shard.engines.simulated import SimulatedLink

transformers = pytest.importorskip("transformers")
pytestmark = pytest.mark.filterwarnings("ignore")


def _gpt2():
    config = transformers.GPT2Config(
        n_layer=2, n_head=2, n_embd=16, vocab_size=50, n_positions=32, bos_token_id=0, eos_token_id=0
    )
    return transformers.GPT2LMHeadModel(config)


def _llama():
    config = transformers.LlamaConfig(
        hidden_size=16, intermediate_size=32, num_hidden_layers=2, num_attention_heads=4,
        num_key_value_heads=2, vocab_size=50, max_position_embeddings=32,
    )  # fmt: skip
    return transformers.LlamaForCausalLM(config)


MODELS = {"GPT-2": _gpt2, "Llama": _llama}


def _losses(make, device, steps=3):
    torch.manual_seed(0)
    model = make().double().to(device).train()
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-2)
    losses = []
    for _ in range(steps):
        tokens = torch.randint(0, 50, (2, 8)).to(device)
        logits = model(input_ids=tokens).logits
        loss = F.cross_entropy(logits[:, :-1].flatten(0, 1), tokens[:, 1:].flatten())
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        losses.append(loss)
    return [loss.item() for loss in losses]


@pytest.mark.parametrize("name", MODELS)
def test_losses_are_those_of_one_device(name):
    expected = _losses(MODELS[name], "cpu")
    with use_session(Session(SimulatedLink(2))):
        assert _losses(MODELS[name], "workers") == pytest.approx(expected, rel=1e-10)


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize(
    "options",
    [{"do_sample": False}, {"num_beams": 3, "do_sample": False}, {"do_sample": True}],
    ids=["greedy", "beams", "sampled"],
)
def test_generated_tokens_are_those_of_one_device(name, options):
    torch.manual_seed(0)
    model = MODELS[name]().eval()
    tokens = torch.tensor([[1, 2, 3], [4, 5, 6]])
    given = {"max_new_tokens": 4, "pad_token_id": 0, **options}
    torch.manual_seed(1)
    expected = model.generate(tokens, attention_mask=torch.ones_like(tokens), **given)
    with use_session(Session(SimulatedLink(2))):
        there = copy.deepcopy(model).to("workers")
        torch.manual_seed(1)
        moved = tokens.to("workers")
        actual = there.generate(moved, attention_mask=torch.ones_like(moved), **given)
        assert actual.tolist() == expected.tolist()


def test_adapters_train():
    peft = pytest.importorskip("peft")
    torch.manual_seed(0)
    with use_session(Session(SimulatedLink(2))):
        config = peft.LoraConfig(r=2, target_modules=["c_attn"], fan_in_fan_out=True)
        model = peft.get_peft_model(_gpt2(), config).to("workers")
        optimizer = torch.optim.AdamW([one for one in model.parameters() if one.requires_grad], lr=3e-2)
        tokens = torch.randint(0, 50, (2, 8)).to("workers")
        losses = []
        for _ in range(4):
            loss = model(input_ids=tokens, labels=tokens).loss
            loss.backward()
            optimizer.step()
            optimizer.zero_grad()
            losses.append(loss.item())
    assert losses[-1] < losses[0]
