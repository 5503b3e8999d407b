"""Models opened by headers alone are the very models that `from_pretrained` gives."""

import json
import logging
import shutil

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import nn

from outgrow.stream.huggingface import open_architecture, open_huggingface
from tests.stream.opened_models import assert_same_as, bits, read_plainly
from tests.stream.tiny_models import FAMILIES, GPT2, make_model, save

transformers = pytest.importorskip("transformers")


@pytest.mark.peer
@pytest.mark.parametrize("shards", [{}, {"max_shard_size": "2KB"}], ids=["one file", "sharded"])
@pytest.mark.parametrize("family", FAMILIES)
def test_open_gives_the_model_of_from_pretrained(saved, family, shards):
    folder = saved(family, **shards)
    peer = getattr(transformers, FAMILIES[family][0]).from_pretrained(folder)
    opened = open_huggingface(folder)
    assert_same_as(peer, opened)
    assert opened.unused == ()
    assert bool(opened.computed) == (family == "marian: positions that no file holds")
    assert bool(shards) == (len(opened.checkpoint.files) > 1)


@pytest.mark.peer
@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, "float64"], ids=str)
@pytest.mark.parametrize("family", ["t5: encoder and decoder, three names for one weight", "llama tied"])
def test_dtype_asked_for_is_the_one_of_from_pretrained(saved, family, dtype):
    # T5 keeps some modules in float32 when asked for float16.
    folder = saved(family)
    peer = getattr(transformers, FAMILIES[family][0]).from_pretrained(folder, dtype=dtype)
    assert_same_as(peer, open_huggingface(folder, dtype=dtype))


def test_sources_keep_the_stored_dtype(saved):
    opened = open_huggingface(saved("llama"), dtype=torch.float32)
    assert {source.dtype for source in opened.sources.values()} == {torch.bfloat16}
    assert {weight.dtype for weight in opened.model.parameters()} == {torch.float32}


@pytest.mark.peer
def test_weights_of_another_dtype_than_the_config_are_cast_as_from_pretrained_does(llama):
    weights = load_file(llama / "model.safetensors")
    mixed = {name: weight.float() if "norm" in name else weight for name, weight in weights.items()}
    save_file(mixed, llama / "model.safetensors", metadata={"format": "pt"})
    opened = open_huggingface(llama)
    assert opened.sources["model.norm.weight"].dtype == torch.float32
    assert_same_as(transformers.AutoModelForCausalLM.from_pretrained(llama), opened)


@pytest.mark.peer
def test_config_without_dtype_takes_that_of_the_files(llama):
    config = json.loads((llama / "config.json").read_text())
    del config["dtype"]
    (llama / "config.json").write_text(json.dumps(config))
    assert_same_as(transformers.AutoModelForCausalLM.from_pretrained(llama), open_huggingface(llama))


@pytest.mark.peer
def test_legacy_names_are_renamed(saved, tmp_path):
    folder = shutil.copytree(saved("bert: encoder alone, tied with a bias"), tmp_path / "bert")
    weights = load_file(folder / "model.safetensors")
    old = {
        name.replace("LayerNorm.weight", "LayerNorm.gamma").replace(
            "LayerNorm.bias", "LayerNorm.beta"
        ): weight
        for name, weight in weights.items()
    }
    assert set(old) != set(weights)
    save_file(old, folder / "model.safetensors", metadata={"format": "pt"})
    assert_same_as(transformers.BertForMaskedLM.from_pretrained(folder), open_huggingface(folder))


@pytest.mark.peer
def test_base_model_weights_open_in_a_model_with_a_head(tmp_path):
    folder = save(make_model("GPT2Model", GPT2), tmp_path / "base")
    peer = transformers.GPT2LMHeadModel.from_pretrained(folder)
    assert_same_as(peer, open_huggingface(folder, model_class="GPT2LMHeadModel"))
    assert_same_as(peer, open_huggingface(folder, model_class="AutoModelForCausalLM"))
    assert type(open_huggingface(folder).model) is transformers.GPT2Model


@pytest.mark.peer
def test_model_with_a_head_opens_as_base_model(saved):
    folder = saved("llama")
    opened = open_huggingface(folder, model_class=transformers.AutoModel)
    assert opened.unused == ("lm_head.weight",)
    assert_same_as(transformers.AutoModel.from_pretrained(folder), opened)


@pytest.mark.peer
@pytest.mark.parametrize("equal", [True, False], ids=["equal", "different"])
def test_tied_weights_that_are_both_in_the_files_are_tied_only_where_equal(saved, tmp_path, equal):
    folder = shutil.copytree(saved("llama tied"), tmp_path / "llama")
    weights = load_file(folder / "model.safetensors")
    head = weights["model.embed_tokens.weight"].clone()
    if not equal:
        head[-1, -1] += 1
    save_file({**weights, "lm_head.weight": head}, folder / "model.safetensors", metadata={"format": "pt"})
    opened = open_huggingface(folder)
    assert_same_as(transformers.AutoModelForCausalLM.from_pretrained(folder), opened)
    assert (opened.model.lm_head.weight is opened.model.model.embed_tokens.weight) == equal


@pytest.mark.peer
def test_generation_config_is_read(llama):
    config = transformers.GenerationConfig(temperature=0.3, do_sample=True, eos_token_id=[2, 5])
    config.save_pretrained(llama)
    model = open_huggingface(llama).model
    assert (model.generation_config.temperature, model.generation_config.eos_token_id) == (0.3, [2, 5])


@pytest.mark.peer
def test_saving_converts_names_back(saved, tmp_path):
    folder = saved("mixtral: experts merged on load")
    opened = open_huggingface(folder)
    values = {name: read_plainly(source) for name, source in opened.sources.items()}
    opened.model.load_state_dict(values, strict=False, assign=True)
    opened.model.save_pretrained(tmp_path)
    before, after = load_file(folder / "model.safetensors"), load_file(tmp_path / "model.safetensors")
    assert {name: bits(weight) for name, weight in before.items()} == {
        name: bits(weight) for name, weight in after.items()
    }


def test_generates_what_the_peer_generates(saved):
    folder = saved("qwen3 moe: eleven experts, 10 after 2")
    opened = open_huggingface(folder)
    for name, source in opened.sources.items():
        module, _, leaf = name.rpartition(".")
        setattr(
            opened.model.get_submodule(module), leaf, nn.Parameter(read_plainly(source), requires_grad=False)
        )
    peer = transformers.AutoModelForCausalLM.from_pretrained(folder)
    prompt = torch.tensor([[1, 5, 9]])
    expected = peer.generate(prompt, max_new_tokens=6, do_sample=False)
    assert torch.equal(opened.model.generate(prompt, max_new_tokens=6, do_sample=False), expected)


@pytest.mark.parametrize("verbosity", [logging.ERROR, logging.WARNING, logging.INFO])
def test_transformers_logging_is_left_as_it_was(llama, verbosity):
    from transformers.utils import logging as hf_logging

    logger = logging.getLogger("transformers.modeling_utils")
    logger.setLevel(logging.NOTSET)
    before, usual = (list(logger.filters), logging.NOTSET), hf_logging.get_verbosity()
    hf_logging.set_verbosity(verbosity)
    hf_logging.enable_progress_bar()
    try:
        open_huggingface(llama)
        assert hf_logging.is_progress_bar_enabled()
        assert hf_logging.get_verbosity() == verbosity
        assert (logger.filters, logger.level) == before
    finally:
        hf_logging.set_verbosity(usual)


@pytest.mark.peer
def test_default_device_and_dtype_of_the_caller_do_not_matter(llama):
    peer = transformers.AutoModelForCausalLM.from_pretrained(llama)
    torch.set_default_dtype(torch.float64)
    try:
        with torch.device("meta"):
            opened = open_huggingface(llama)
    finally:
        torch.set_default_dtype(torch.float32)
    assert_same_as(peer, opened)


@pytest.mark.parametrize("given", ["config", "file", "directory"])
def test_architecture_alone_is_on_meta(llama, given):
    (llama / "model.safetensors").unlink()
    config = {
        "config": transformers.AutoConfig.from_pretrained(llama),
        "file": llama / "config.json",
        "directory": str(llama),
    }[given]
    model = open_architecture(config)
    assert type(model) is transformers.LlamaForCausalLM
    assert {weight.device.type for weight in (*model.parameters(), *model.buffers())} == {"meta"}
    assert {weight.dtype for weight in model.parameters()} == {torch.bfloat16}
    assert next(open_architecture(config, dtype="float16").parameters()).dtype == torch.float16
    assert not any(weight.requires_grad for weight in model.parameters())
    assert not model.training


def test_seventy_billion_weights_are_planned_in_no_memory():
    config = transformers.LlamaConfig(
        hidden_size=8192, intermediate_size=28672, num_hidden_layers=80, num_attention_heads=64,
        num_key_value_heads=8, vocab_size=128256, dtype="bfloat16",
    )  # fmt: skip
    assert sum(weight.nbytes for weight in open_architecture(config).parameters()) == 141_107_412_992
