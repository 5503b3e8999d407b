"""Class and dtype of a model come from its config; what cannot be is refused before anything is built."""

import errno
import json
import sys

import pytest
import torch

from outgrow.errors import InputError, StoreError
from outgrow.stream.architecture import (
    UnsupportedCheckpoint,
    choose_class,
    choose_dtype,
    import_transformers,
    read_config,
)

transformers = pytest.importorskip("transformers")

LLAMA = {"model_type": "llama", "architectures": ["LlamaForCausalLM"], "dtype": "bfloat16"}


@pytest.fixture
def write_config(tmp_path):
    def write(**changes):
        (tmp_path / "config.json").write_text(json.dumps({**LLAMA, **changes}))
        return tmp_path

    return write


@pytest.mark.parametrize(
    ("changes", "error", "message"),
    [
        ({"quantization_config": {"quant_method": "gptq"}}, UnsupportedCheckpoint, r"quantized \(gptq\)"),
        ({"model_type": "lama"}, InputError, "cannot be used"),
        (
            {"model_type": "own", "auto_map": {"AutoConfig": "own.Config"}},
            InputError,
            "Python code of its own",
        ),
        ({"hidden_size": "wide"}, InputError, "cannot be used"),
    ],
    ids=["quantized", "unknown", "own code", "nonsense"],
)
def test_config_that_cannot_work_is_refused(write_config, changes, error, message):
    with pytest.raises(error, match=message) as caught:
        read_config(write_config(**changes))
    assert caught.value.hint


def test_damaged_config_is_an_input_error(tmp_path):
    (tmp_path / "config.json").write_text("{")
    with pytest.raises(InputError, match="cannot be used"):
        read_config(tmp_path)


def test_config_is_read_from_a_file_too(write_config):
    assert read_config(write_config() / "config.json").model_type == "llama"


@pytest.mark.parametrize(
    ("architectures", "model_class", "expected"),
    [
        (["LlamaForCausalLM"], None, "LlamaForCausalLM"),
        (["LlamaForSequenceClassification"], None, "LlamaForSequenceClassification"),
        (["LlamaModel"], None, "LlamaModel"),
        ([], None, "LlamaForCausalLM"),
        (["TheirOwnLlama"], None, "LlamaForCausalLM"),
        (["TheirOwnLlama", "LlamaModel"], None, "LlamaModel"),
        (["LlamaModel"], "AutoModelForCausalLM", "LlamaForCausalLM"),
        (["LlamaForCausalLM"], "AutoModel", "LlamaModel"),
        (["LlamaForCausalLM"], "LlamaModel", "LlamaModel"),
    ],
)
def test_class_is_the_one_asked_for_else_the_config_s(write_config, architectures, model_class, expected):
    config = read_config(write_config(architectures=architectures))
    by_name, same = choose_class(config, model_class)
    assert (by_name.__name__, same) == (expected, config)
    if model_class:
        assert choose_class(config, getattr(transformers, model_class))[0] is by_name


def test_text_class_of_a_composite_config_gets_its_text_part():
    config = transformers.Gemma3Config(architectures=["Gemma3ForConditionalGeneration"])
    assert choose_class(config) == (transformers.Gemma3ForConditionalGeneration, config)
    kind, text = choose_class(config, "Gemma3ForCausalLM")
    assert kind is transformers.Gemma3ForCausalLM
    assert type(text) is transformers.Gemma3TextConfig


@pytest.mark.parametrize(
    ("model_class", "message"),
    [
        ("LlamaForCasualLM", "no class 'LlamaForCasualLM'"),
        ("LlamaConfig", "must be a transformers model class"),
        (torch.nn.Linear, "must be a transformers model class"),
        ("AutoModelForImageClassification", "no class for a config of type LlamaConfig"),
    ],
)
def test_class_that_cannot_be_is_refused(write_config, model_class, message):
    with pytest.raises(InputError, match=message):
        choose_class(read_config(write_config()), model_class)


def test_misspelt_class_names_its_neighbours(write_config):
    with pytest.raises(InputError) as caught:
        choose_class(read_config(write_config()), "LlamaForCasualLM")
    assert "LlamaForCausalLM" in caught.value.hint


def test_own_code_runs_only_where_trusted(write_config):
    references = {"AutoConfig": "own.OwnConfig", "AutoModelForCausalLM": "own.OwnModel"}
    folder = write_config(model_type="own", auto_map=references)
    (folder / "own.py").write_text(
        "from pathlib import Path\n"
        "from transformers import LlamaConfig, LlamaForCausalLM\n"
        f"Path({str(folder / 'ran')!r}).touch()\n"
        "class OwnConfig(LlamaConfig):\n    model_type = 'own'\n"
        "class OwnModel(LlamaForCausalLM):\n    config_class = OwnConfig\n"
    )
    with pytest.raises(InputError, match="Python code of its own"):
        read_config(folder)
    assert not (folder / "ran").exists()
    config = read_config(folder, trust_remote_code=True)
    kind, _ = choose_class(config, folder=folder, trust_remote_code=True)
    assert kind.__name__ == "OwnModel"
    assert kind._auto_class == "AutoModelForCausalLM"


@pytest.mark.parametrize(
    ("of_config", "asked", "expected"),
    [
        ("bfloat16", None, torch.bfloat16),
        ("bfloat16", torch.float32, torch.float32),
        ("bfloat16", "float16", torch.float16),
        ("float16", "torch.float64", torch.float64),
        (None, None, torch.float32),
    ],
)
def test_dtype_is_the_one_asked_for_else_the_config_s(of_config, asked, expected):
    assert choose_dtype(transformers.LlamaConfig(dtype=of_config), asked) is expected


@pytest.mark.parametrize(
    "dtype", [torch.int8, "int64", torch.float8_e4m3fn, "bf17", torch.bool, 16, torch.complex64], ids=str
)
def test_dtype_that_cannot_be_is_refused(dtype):
    with pytest.raises(InputError, match=r"dtype|compute"):
        choose_dtype(transformers.LlamaConfig(), dtype)


def test_misspelt_dtype_names_its_neighbours():
    with pytest.raises(InputError) as caught:
        choose_dtype(transformers.LlamaConfig(), "blfoat16")
    assert "bfloat16" in caught.value.hint


def test_without_transformers_the_pip_line_is_given(monkeypatch):
    monkeypatch.setitem(sys.modules, "transformers", None)
    with pytest.raises(InputError, match="not installed") as caught:
        import_transformers()
    assert caught.value.hint == "pip install 'outgrow[hf]'"


def test_old_transformers_is_refused(monkeypatch):
    # Trusted code makes transformers put a new module in the place of the one imported above.
    monkeypatch.setattr(sys.modules["transformers"], "__version__", "4.57.1")
    with pytest.raises(InputError, match=r"needs transformers 5, found 4\.57\.1"):
        import_transformers()


def test_a_missing_temporary_directory_is_not_put_down_to_the_config(write_config, monkeypatch):
    def imported(*_, **__):
        raise FileNotFoundError(errno.ENOENT, "No usable temporary directory found in ['/tmp']")

    folder = write_config()
    monkeypatch.setattr(transformers.AutoConfig, "from_pretrained", imported)
    with pytest.raises(StoreError, match="temporary file") as caught:
        read_config(folder)
    assert "TMPDIR" in caught.value.hint
