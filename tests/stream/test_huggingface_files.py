"""Opening a checkpoint reads headers alone, leaves nothing behind, and names what is wrong with the files."""

import gc
import json
import os
import shutil
import time
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch.utils._python_dispatch import TorchDispatchMode

from outgrow.errors import InputError, StoreError
from outgrow.store.header import StoreCorrupt
from outgrow.stream.architecture import UnsupportedCheckpoint
from outgrow.stream.file_tensor import FileTensor
from outgrow.stream.huggingface import open_architecture, open_huggingface
from tests.stream.tiny_models import SMALL, make_model, save, write_holes

transformers = pytest.importorskip("transformers")


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
