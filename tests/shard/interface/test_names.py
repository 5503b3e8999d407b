"""What `import outgrow.shard as gt` promises to have, and what importing it costs."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

import outgrow.shard as gt

REFERENCE = Path(__file__).parents[3] / "docs" / "reference" / "shard.md"
PREDECESSORS = [
    *("connect", "gpu_workers", "tensor", "from_numpy", "randn", "rand", "zeros", "ones", "cat", "no_grad"),
    *("float32", "float64", "int32", "int64", "bool", "load_config", "get_config", "get_signal_config"),
    *("register_config", "SignalConfig", "ShardConfig", "signal", "debug", "nn"),
]
OURS = [
    *("Owned", "Replicate", "Shard", "compile", "explain", "place", "placement_of", "replicated", "shutdown"),
    *("signals", "statistics"),
]


@pytest.mark.parametrize("name", [*PREDECESSORS, *OURS])
def test_the_name_is_there(name):
    assert hasattr(gt, name)
    assert name in gt.__all__


def test_nothing_else_is_public():
    assert sorted(gt.__all__) == sorted([*PREDECESSORS, *OURS])


@pytest.mark.parametrize(
    "name",
    [
        "Module",
        "Linear",
        "LayerNorm",
        "MultiHeadAttention",
        "TransformerBlock",
        "SGD",
        "mse_loss",
        "binary_cross_entropy",
        "cross_entropy_loss",
        "relu",
        "sigmoid",
        "tanh",
    ],
)
def test_nn_has(name):
    assert name in gt.nn.__all__


@pytest.mark.parametrize("name", ["get_tape", "print_tape", "get_worker_stats", "print_worker_stats"])
def test_debug_has(name):
    assert name in gt.debug.__all__


@pytest.mark.parametrize("name", ["context", "signal", "tensor", "enter", "exit"])
def test_signal_has(name):
    assert name in gt.signal.__all__


@pytest.mark.parametrize("name", [*PREDECESSORS, *OURS])
def test_the_reference_has_it(name):
    assert re.search(rf"`gt\.{name}\b[^`\n]*`", REFERENCE.read_text())


@pytest.mark.parametrize(
    "name", [*gt.nn.__all__, *gt.debug.__all__, "context", "signal", "tensor", "enter", "exit"]
)
def test_the_reference_has_what_modules_have(name):
    assert re.search(rf"`[^`\n]*\b{name}\b[^`\n]*`", REFERENCE.read_text())


def test_importing_is_light_and_starts_nothing():
    code = (
        "import outgrow.shard, sys, multiprocessing, threading\n"
        "print(*sys.modules)\n"
        "assert threading.active_count() == 1 and not multiprocessing.active_children()\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert not {"yaml", "matplotlib", "transformers", "rich", "click"} & set(done.stdout.split())
