import json

import pytest
import torch
from safetensors.torch import load_file

from bench import models


def test_checkpoint_has_every_weight_of_the_model(tmp_path):
    from transformers import AutoConfig, AutoModelForCausalLM

    directory = models.make_checkpoint("toy", directory=tmp_path)
    with torch.device("meta"):
        model = AutoModelForCausalLM.from_config(AutoConfig.from_pretrained(directory))
    expected = {name: tuple(parameter.shape) for name, parameter in model.named_parameters()}
    found = {}
    for path in models.weight_files(directory):
        found |= {name: tuple(tensor.shape) for name, tensor in load_file(path).items()}
    assert found == expected
    assert models.weights_bytes(directory) == models.SHAPES["toy"].nbytes
    assert len(models.weight_files(directory)) == models.SHAPES["toy"].files


def test_weights_are_bf16_of_small_scale_and_norms_are_one(tmp_path):
    directory = models.make_checkpoint("toy", directory=tmp_path)
    weights = {}
    for path in models.weight_files(directory):
        weights |= load_file(path)
    projection = weights["model.layers.1.mlp.up_proj.weight"]
    assert projection.dtype == torch.bfloat16
    assert projection.float().std().item() == pytest.approx(0.02, rel=0.05)
    assert (weights["model.norm.weight"] == 1).all()
    assert len({tensor.float().sum().item() for name, tensor in weights.items() if "up_proj" in name}) == 3


def test_index_names_the_file_of_each_weight(tmp_path):
    directory = models.make_checkpoint("toy", directory=tmp_path)
    index = json.loads((directory / "model.safetensors.index.json").read_text())
    for name, file in index["weight_map"].items():
        assert name in load_file(directory / file)


def test_second_call_uses_what_is_there(tmp_path):
    directory = models.make_checkpoint("toy", directory=tmp_path)
    before = [path.stat().st_mtime_ns for path in models.weight_files(directory)]
    assert models.make_checkpoint("toy", directory=tmp_path, seed=1) == directory
    assert [path.stat().st_mtime_ns for path in models.weight_files(directory)] == before


def test_headers_only_have_true_sizes_and_no_disk(tmp_path):
    directory = models.make_checkpoint("llama70b", directory=tmp_path, sparse=True)
    assert models.weights_bytes(directory) == models.SHAPES["llama70b"].nbytes > 137e9
    for path in models.weight_files(directory):
        assert path.stat().st_blocks * 512 < 1 << 20 < path.stat().st_size


def test_nothing_is_left_when_the_disk_is_too_small(tmp_path, monkeypatch):
    usage = models.shutil.disk_usage(tmp_path)
    monkeypatch.setattr(models.shutil, "disk_usage", lambda _: usage._replace(free=10))
    with pytest.raises(OSError, match="10 are free"):
        models.make_checkpoint("toy", directory=tmp_path)
    assert not list(tmp_path.iterdir())


def test_nothing_is_left_after_an_interrupt(tmp_path, monkeypatch):
    def interrupt(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr(models, "_write_file", interrupt)
    with pytest.raises(KeyboardInterrupt):
        models.make_checkpoint("toy", directory=tmp_path)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("name", "gigabytes"),
    [("tinyllama", 2.200), ("llama7b", 13.477), ("llama13b", 26.032), ("llama70b", 137.95)],
)
def test_shapes_have_their_published_sizes(name, gigabytes):
    assert models.SHAPES[name].nbytes / 1e9 == pytest.approx(gigabytes, rel=1e-3)
