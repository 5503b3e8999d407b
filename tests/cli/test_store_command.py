import json
import os
import subprocess
import sys

import pytest
import torch

from outgrow.cli.main import main
from outgrow.store import write_safetensors


@pytest.fixture
def root(tmp_path):
    tensors = {f"layers.{number}.w": torch.ones(10, 3, dtype=torch.bfloat16) for number in (2, 10, 1)}
    write_safetensors(tmp_path / "m" / "model.safetensors", tensors | {"scale": torch.ones(())}, {"k": "v"})
    return tmp_path / "m"


def run(capsys, *arguments):
    code = (
        "import sys; from outgrow.cli.main import main; main(['store', '-h']); exit('torch' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    for name in ("ls", "verify", "convert"):
        assert name in done.stdout
