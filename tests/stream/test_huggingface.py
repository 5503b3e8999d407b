"""Models opened by headers alone are the very models that `from_pretrained` gives."""

import gc
import json
import logging
import os
import shutil
import time
from collections import defaultdict
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode

from outgrow.errors import InputError, StoreError
from outgrow.store.header import StoreCorrupt
from outgrow.stream.architecture import UnsupportedCheckpoint
from outgrow.stream.file_tensor import FileTensor
from outgrow.stream.huggingface import OpenedModel, open_architecture, open_huggingface
from outgrow.stream.source import WeightSource
from tests.stream.tiny_models import FAMILIES, GPT2, SMALL, make_model, save, write_holes

transformers = pytest.importorskip("transformers")


@pytest.fixture(scope="session")
def saved(tmp_path_factory):
    folders = {}

    def folder_of(family, **options):
        key = (family, *options.items())
        if key not in folders:
            folder = tmp_path_factory.mktemp("model")
            folders[key] = save(make_model(*FAMILIES[family]), folder, **options)
        return folders[key]

    return folder_of


@pytest.fixture
def llama(tmp_path):
    return save(make_model("LlamaForCausalLM", SMALL), tmp_path / "llama")


def read_plainly(source: WeightSource) -> torch.Tensor:
    parts = []
    for segment in source.segments:
        assert sum(len(part) for part in parts) == segment.begin
        with segment.path.open("rb") as file:
            file.seek(segment.offset)
            parts.append(file.read(segment.nbytes))
    raw = b"".join(parts)
    if not raw:
        return torch.empty(source.shape, dtype=source.dtype)
    return torch.frombuffer(bytearray(raw), dtype=source.dtype).reshape(source.shape)


def bits(tensor: torch.Tensor) -> bytes:
    return tensor.detach().contiguous().reshape(-1).view(torch.uint8).numpy().tobytes()


def ties(model: nn.Module) -> set[frozenset[str]]:
    names = defaultdict(set)
    for name, weight in model.named_parameters(remove_duplicate=False):
        names[id(weight)].add(name)
    return {frozenset(group) for group in names.values()}


def assert_same_as(peer: nn.Module, opened: OpenedModel) -> None:
    model = opened.model
    assert type(model) is type(peer)
    assert not any(module.training for module in model.modules())
    ours, theirs = dict(model.named_parameters()), dict(peer.named_parameters())
    assert list(ours) == list(theirs)
    assert ties(model) == ties(peer)
    assert set(opened.sources) == {name for name, weight in ours.items() if weight.is_meta}
    assert set(opened.computed) == {name for name, weight in ours.items() if not weight.is_meta}
    for name, weight in ours.items():
        assert type(weight) is nn.Parameter
        assert not weight.requires_grad
        assert (weight.shape, weight.dtype) == (theirs[name].shape, theirs[name].dtype), name
        if name in opened.computed:
            assert bits(weight) == bits(theirs[name]), name
        else:
            assert opened.sources[name].name == name
            assert bits(read_plainly(opened.sources[name]).to(weight.dtype)) == bits(theirs[name]), name
    ours, theirs = dict(model.named_buffers()), dict(peer.named_buffers())
    assert list(ours) == list(theirs)
    for name, buffer in ours.items():
        assert type(buffer) is torch.Tensor
        assert (buffer.device.type, buffer.dtype, buffer.shape) == (
            "cpu",
            theirs[name].dtype,
            theirs[name].shape,
        )
        assert bits(buffer) == bits(theirs[name]), name
    assert list(model.state_dict()) == list(peer.state_dict())
    assert model.config.to_dict() == peer.config.to_dict()
    assert model.config.name_or_path == peer.config.name_or_path
    assert model.name_or_path == peer.name_or_path
    if peer.can_generate():
        assert model.generation_config.to_dict() == peer.generation_config.to_dict()


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


@pytest.mark.parametrize("given", ["directory", "file", "config.json", "text", "index"])
def test_path_may_be_a_directory_or_a_file_in_it(saved, given):
    folder = saved("llama", max_shard_size="20KB") if given == "index" else saved("llama")
    path = {
        "directory": folder,
        "file": folder / "model.safetensors",
        "config.json": folder / "config.json",
        "text": str(folder),
        "index": folder / "model.safetensors.index.json",
    }[given]
    assert len(open_huggingface(path).sources) == 21


def test_opening_reads_headers_alone(tmp_path, monkeypatch):
    folder = save(
        make_model("LlamaForCausalLM", {**SMALL, "hidden_size": 512, "intermediate_size": 4096}),
        tmp_path / "m",
    )
    weight_bytes = (folder / "model.safetensors").stat().st_size
    assert weight_bytes > 20_000_000
    open_huggingface(folder)  # Imports read files too.

    def read_bytes():
        return int(Path("/proc/self/io").read_text().split("rchar:")[1].split()[0])

    if not Path("/proc/self/io").exists():
        pytest.skip("no /proc/self/io here")
    monkeypatch.setattr("mmap.mmap", lambda *_, **__: pytest.fail("mapped a file"))
    before = read_bytes()
    open_huggingface(folder)
    assert read_bytes() - before < 200_000


def test_opening_two_gigabytes_takes_less_than_a_second(tmp_path):
    # The files are holes: nobody reads them.
    config = transformers.LlamaConfig(
        hidden_size=2048, intermediate_size=5632, num_hidden_layers=22, num_attention_heads=32,
        num_key_value_heads=4, vocab_size=32000, architectures=["LlamaForCausalLM"], dtype="bfloat16",
    )  # fmt: skip
    write_holes(open_architecture(config), tmp_path, files=5)
    config.save_pretrained(tmp_path)
    open_huggingface(tmp_path)  # Imports are not counted.
    # Of this process alone, so that a busy machine does not fail the test.
    began = time.process_time()
    opened = open_huggingface(tmp_path)
    seconds = time.process_time() - began
    assert opened.checkpoint.nbytes > 2e9
    assert seconds < 1


def test_missing_weights_are_named(llama):
    weights = load_file(llama / "model.safetensors")
    del weights["model.layers.1.mlp.up_proj.weight"]
    save_file(weights, llama / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(InputError, match=r"does not hold: 'model\.layers\.1\.mlp\.up_proj\.weight'"):
        open_huggingface(llama)


class LargestAllocation(TorchDispatchMode):
    """Notes the most bytes that one real tensor had."""

    nbytes = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        result = func(*args, **(kwargs or {}))
        if type(result) is torch.Tensor and result.device.type == "cpu":
            self.nbytes = max(self.nbytes, result.nbytes)
        return result


def test_missing_weights_cost_no_memory(tmp_path):
    config = transformers.LlamaConfig(
        **{**SMALL, "intermediate_size": 100_000}, architectures=["LlamaForCausalLM"], dtype="bfloat16"
    )
    model = open_architecture(config)
    del model.model.layers[1].mlp.down_proj
    write_holes(model, tmp_path, files=2)
    config.save_pretrained(tmp_path)
    with (
        LargestAllocation() as largest,
        pytest.raises(InputError, match=r"does not hold: 'model\.layers\.1\.mlp\.down_proj\.weight'"),
    ):
        open_huggingface(tmp_path)
    assert 0 < largest.nbytes < 100_000


def test_nothing_of_the_way_stays_behind(saved):
    before = {id(one) for one in gc.get_objects() if type(one) is FileTensor}
    opened = open_huggingface(saved("mixtral: experts merged on load"))
    gc.collect()
    assert [one for one in gc.get_objects() if type(one) is FileTensor and id(one) not in before] == []
    assert opened.sources


def test_config_of_another_shape_is_refused_with_both_shapes(llama):
    config = json.loads((llama / "config.json").read_text())
    config["intermediate_size"] = 10_000_000
    (llama / "config.json").write_text(json.dumps(config))
    with pytest.raises(
        InputError, match=r"shape \[32, 48\] in the files but \[32, 10000000\] by config\.json"
    ):
        open_huggingface(llama)


def test_missing_expert_is_an_error(saved, tmp_path):
    folder = shutil.copytree(saved("mixtral: experts merged on load"), tmp_path / "mixtral")
    weights = load_file(folder / "model.safetensors")
    name = next(name for name in weights if "experts.2" in name)
    del weights[name]
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(
        UnsupportedCheckpoint, match=r"experts\.gate_up_proj' needs Concatenate, and Sizes of"
    ):
        open_huggingface(folder)


@pytest.mark.parametrize("verbosity", ["error", "warning"])
def test_unused_weights_are_listed_and_not_logged(llama, capfd, verbosity):
    from transformers.utils import logging as hf_logging

    weights = load_file(llama / "model.safetensors")
    save_file(
        {**weights, "vision.weight": torch.ones(3)}, llama / "model.safetensors", metadata={"format": "pt"}
    )
    getattr(hf_logging, f"set_verbosity_{verbosity}")()
    try:
        assert open_huggingface(llama).unused == ("vision.weight",)
    finally:
        hf_logging.set_verbosity_error()
    assert "REPORT" not in "".join(capfd.readouterr())


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


def test_transposed_weights_are_refused_by_name(llama, monkeypatch):
    import transformers.conversion_mapping as conversion_mapping
    from transformers.core_model_loading import Transpose, WeightConverter

    wide = [WeightConverter("o_proj.weight", "o_proj.weight", operations=[Transpose()])]
    original = transformers.modeling_utils.get_model_conversion_mapping
    monkeypatch.setattr(
        transformers.modeling_utils,
        "get_model_conversion_mapping",
        lambda *a, **k: [*original(*a, **k), *wide],
    )
    monkeypatch.setattr("outgrow.stream.file_tensor.MAX_SEGMENTS", 10)
    assert conversion_mapping
    with pytest.raises(
        UnsupportedCheckpoint, match=r"o_proj\.weight' .* made from them by 'transpose'"
    ) as caught:
        open_huggingface(llama)
    assert "outgrow.stream.offload" in caught.value.hint


def test_integers_in_place_of_floats_are_refused(llama):
    weights = load_file(llama / "model.safetensors")
    weights["model.norm.weight"] = torch.ones(32, dtype=torch.int8)
    save_file(weights, llama / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(UnsupportedCheckpoint, match=r"'model\.norm\.weight' is stored as torch\.int8"):
        open_huggingface(llama)


def test_truncated_file_is_a_store_error(llama):
    os.truncate(llama / "model.safetensors", 5000)
    with pytest.raises(StoreCorrupt):
        open_huggingface(llama)


def test_buffer_in_a_file_cut_short_meanwhile_is_a_store_error(saved, tmp_path, monkeypatch):
    folder = shutil.copytree(
        saved("batch norm: persistent buffers, integers among them"), tmp_path / "resnet"
    )
    from outgrow.stream import huggingface

    def open_and_cut(path):
        checkpoint = huggingface_open(path)
        os.truncate(folder / "model.safetensors", 1000)
        return checkpoint

    huggingface_open = huggingface.open_checkpoint
    monkeypatch.setattr(huggingface, "open_checkpoint", open_and_cut)
    with pytest.raises(StoreError, match="ends early"):
        open_huggingface(folder)


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
