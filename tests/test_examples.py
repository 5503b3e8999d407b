"""Every script under `examples/` runs at small size, says what it should, and stays short."""

import gc
import runpy
import sys
import threading
from pathlib import Path

import pytest

EXAMPLES = sorted((Path(__file__).parent.parent / "examples").glob("*.py"))
SAYS = {
    "find_a_wrong_line": ("They differ: '2.attention.output' is the first tensor that went wrong",),
    "grow_a_language_model": (
        "compare: match, 3 layers",
        "streamed: the same bits: True",
        "sharded: loss",
    ),
    "lora_over_streamed_weights": ("step 3: loss", "adapters trained", "adapter saved"),
    "one_model_in_four_rooms": (
        "streamed         bit-identical   211 of 211 equal, 1.09 MB for 10.9 MB of weights",
        "grown, streamed  bit-identical   228 of 228 equal, 1.09 MB for",
        "They differ: 'model.layers.6.self_attn.o_proj.output' is the first tensor that went wrong",
    ),
    "record_a_training_run": ("right: 324 tensors", "they part at layers.1.output"),
    "stream_a_checkpoint": ("were in memory at most; each pass read",),
    "stream_your_own_module": ("pass 3: read", "all weights are back"),
    "train_a_pixel_transformer": ("37 parameter tensors", "epoch 2: loss", "workers: 2"),
}
OPTIONS = {
    "lora_over_streamed_weights": ("--save", "adapter"),
    "train_a_pixel_transformer": ("--size", "24", "--epochs", "2"),
}


def run_example(script: Path, monkeypatch, *options: str) -> None:
    monkeypatch.setattr(sys, "argv", [str(script), *options])
    runpy.run_path(str(script), run_name="__main__")


@pytest.mark.parametrize("script", EXAMPLES, ids=lambda script: script.stem)
# peft still asks transformers for a property by its old name.
@pytest.mark.filterwarnings("ignore::FutureWarning")
def test_the_example_runs(script, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    gc.collect()
    before = set(threading.enumerate())
    run_example(script, monkeypatch, *OPTIONS.get(script.stem, ()))
    said = capsys.readouterr().out
    for sentence in SAYS[script.stem]:
        assert sentence in said
    gc.collect()
    assert not [thread.name for thread in set(threading.enumerate()) - before if "outgrow" in thread.name]


@pytest.mark.filterwarnings("ignore::FutureWarning")
def test_the_adapter_learns_and_is_saved(tmp_path, monkeypatch, capsys):
    script = next(script for script in EXAMPLES if script.stem == "lora_over_streamed_weights")
    monkeypatch.chdir(tmp_path)
    run_example(script, monkeypatch, "--save", "adapter", "--steps", "3")
    losses = [float(line.split()[-1]) for line in capsys.readouterr().out.splitlines() if " loss " in line]
    assert losses[-1] < losses[0]
    assert (tmp_path / "adapter" / "adapter_model.safetensors").is_file()


@pytest.mark.parametrize("script", EXAMPLES, ids=lambda script: script.stem)
def test_the_example_is_short(script):
    # All four rooms take half as much again.
    most = 150 if script.stem == "one_model_in_four_rooms" else 100
    assert len(script.read_text().splitlines()) < most
