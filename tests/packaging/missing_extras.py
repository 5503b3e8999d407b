"""Every use of an extra, in an environment without any: the answer has to be an error with its line for pip.

`make package` runs this; it prints a line for each.
"""

import importlib.util
import json
import subprocess
import sys
import sysconfig
from pathlib import Path

import torch
from torch import nn

import outgrow.shard as gt
from outgrow import stream
from outgrow.errors import OutgrowError
from outgrow.evolve.data import read_digits
from outgrow.store import write_safetensors
from outgrow.store.codec import make_codec

OUTGROW = str(Path(sysconfig.get_path("scripts")) / "outgrow")
FOREIGN = (
    "safetensors",
    "transformers",
    "huggingface_hub",
    "gguf",
    "blosc2",
    "yaml",
    "sklearn",
    "starlette",
    "uvicorn",
    "kvikio",
)
COMMANDS = (
    ("hf", "plan", "folder", "--budget", "1MB"),
    ("hf", "run", "folder", "--budget", "1MB", "--prompt", "x"),
    ("hf", "run", "somebody/model", "--budget", "1MB", "--prompt", "x"),
    ("hf", "store", "convert", "model.gguf", "converted"),
    ("hf", "demo"),
    ("hf", "demo", "compare"),
    ("hf", "demo", "whole"),
    ("evolve", "demo", "evolve"),
    ("evolve", "evolve", "run", "--data", "digits", "--out", "grown"),
    ("web", "web", "--no-browser"),
)


def compressed():
    stream.offload(nn.Linear(4, 4), stream.Config(storage_path="weights", compression_enabled=True))


def the_page():
    from outgrow.compare.web import open_server  # noqa: F401 - the import is what fails


CALLS = (
    ("hf", lambda: stream.load("folder", budget="1MB")),
    ("codec", compressed),
    ("codec", lambda: make_codec("blosc2")),
    ("shard", lambda: gt.load_config("signals.yaml")),
    ("evolve", read_digits),
    ("web", the_page),
)


def main():
    there = [name for name in FOREIGN if importlib.util.find_spec(name) is not None]
    assert not there, f"this environment is not empty: {there}"
    Path("folder").mkdir()
    Path("folder/config.json").write_text(
        json.dumps({"model_type": "llama", "architectures": ["LlamaForCausalLM"]})
    )
    write_safetensors("folder/model.safetensors", {"model.embed_tokens.weight": torch.zeros(8, 8)})
    Path("model.gguf").write_bytes(b"GGUF")
    Path("signals.yaml").write_text("a:\n  shard: {axis: 0}\n")
    wrong = 0
    for extra, *words in COMMANDS:
        done = subprocess.run([OUTGROW, *words], capture_output=True, text=True, timeout=120)
        is_right = done.returncode == 2 and f"pip install 'outgrow[{extra}]'" in done.stderr
        is_right = is_right and "Traceback" not in done.stderr
        wrong += not is_right
        print("ok   " if is_right else "WRONG", "outgrow", *words, "" if is_right else f"\n{done.stderr}")
    for extra, call in CALLS:
        try:
            call()
        except (OutgrowError, ImportError) as err:
            said = str(err)
        else:
            said = "nothing was raised"
        is_right = f"pip install 'outgrow[{extra}]'" in said
        wrong += not is_right
        print("ok   " if is_right else "WRONG", " ".join(said.split()))
    return bool(wrong)


if __name__ == "__main__":
    sys.exit(main())
