"""Whatever stops a pass, the next one is right; whatever stops a program leaves nothing behind."""

import os
import random
import select
import signal
import subprocess
import sys
import time

import pytest
import torch

import outgrow.stream as ts
from outgrow.errors import StoreError
from outgrow.testing.faults import faulty_reads
from tests.stream.streaming import assert_same, llama, reading_threads, streamed, token_ids

LARGE = {"hidden_size": 64, "intermediate_size": 160, "num_hidden_layers": 3}


def tall():
    return llama(**LARGE)


def assert_right(model, times=2):
    resident = tall()
    with torch.no_grad():
        for _ in range(times):
            assert_same(model(token_ids()).logits, resident(token_ids()).logits)


def outcome(model):
    """What a pass fails with; None where it does not."""
    try:
        model(token_ids())
    except StoreError as error:
        return error
    return None


PLACES = [
    "model.layers.0.self_attn.q_proj",
    "model.layers.1.mlp",
    "model.layers.2.mlp.down_proj",
    "lm_head",
    "",
]


@pytest.mark.parametrize("error", [ZeroDivisionError, KeyboardInterrupt])
@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("is_first", [True, False], ids=["first pass", "later"])
def test_exceptions_in_the_middle_of_a_pass(error, place, is_first, tmp_path):
    model = streamed(tall(), tmp_path)
    if not is_first:
        assert_right(model)
    module = model.get_submodule(place)
    for register in (module.register_forward_pre_hook, module.register_forward_hook):

        def fail(*_):
            raise error("on purpose")

        handle = register(fail)
        with torch.no_grad(), pytest.raises(error):
            model(token_ids())
        handle.remove()
        assert_right(model, 1)
    assert_right(model)
    assert ts.health(model).problems == () or "times as long" in ts.health(model).problems[0]
    assert reading_threads() >= 1


@pytest.mark.parametrize("reader", ["direct", "buffered"])
def test_a_disk_that_fails_once(reader, tmp_path):
    model = streamed(tall(), tmp_path, reader=reader)
    assert_right(model)
    with faulty_reads(["eio"] * 200), torch.no_grad():
        # What was fetched ahead already may serve a pass or two.
        errors = [error for error in (outcome(model) for _ in range(3)) if error is not None]
    assert errors
    assert all("weights.safetensors" in str(error) for error in errors)
    assert_right(model)


@pytest.mark.parametrize("seed", range(4))
def test_a_disk_with_hiccups(seed, tmp_path):
    model = streamed(tall(), tmp_path, reader="buffered")
    resident, wrong = tall(), 0
    with faulty_reads(seed=seed, weights=(8, 1, 1, 0.3, 1, 0.2)), torch.no_grad():
        for _ in range(8):
            try:
                result = model(token_ids()).logits
            except StoreError:
                wrong += 1
            else:
                assert_same(result, resident(token_ids()).logits)
    assert_right(model)


def test_a_failing_restore_leaves_the_model_streamed(tmp_path):
    model = streamed(tall(), tmp_path, reader="buffered")
    with faulty_reads(["eio"] * 500), pytest.raises(StoreError):
        ts.restore(model)
    assert_right(model)
    ts.restore(model)
    assert_right(model)


def test_a_failing_change_of_budget(tmp_path):
    model = streamed(tall(), tmp_path, reader="buffered")
    with faulty_reads(["eio"] * 500), pytest.raises(StoreError):
        ts.set_budget(model, 400_000)
    assert_right(model)
    ts.set_budget(model, 400_000)
    assert_right(model)


SCRIPT = """
import os, sys, threading, time
import torch, transformers
transformers.logging.set_verbosity_error()
torch.set_num_threads(1)
import outgrow.stream as ts
from outgrow.stream.attachment import stream_of
from tests.stream.streaming import assert_same, llama, token_ids
folder, what = sys.argv[1:]
large = {"hidden_size": 128, "intermediate_size": 320, "num_hidden_layers": 4}
resident = llama(**large)
model = llama(**large)
config = lambda: ts.Config(storage_path=folder + "/store", budget=500_000)
if what == "generate":
    ts.offload(model, config())
print("ready", flush=True)
try:
    while True:
        if what == "load":
            other = ts.load(folder + "/model", budget="500kB")
            del other
        elif what == "offload":
            ts.offload(model, config())
            ts.restore(model)
        else:
            model.generate(token_ids(), max_new_tokens=20, do_sample=False)
except KeyboardInterrupt:
    print("stopped", flush=True)
with torch.no_grad():
    assert_same(model(token_ids()).logits, resident(token_ids()).logits)
    assert_same(model(token_ids()).logits, resident(token_ids()).logits)
if hasattr(model, "_outgrow_stream"):
    stream_of(model).close()
import gc
gc.collect()
left = [thread.name for thread in threading.enumerate() if thread.name.startswith("outgrow")]
assert not left, left
print("fine", flush=True)
"""


@pytest.mark.parametrize("seed", [0, *(pytest.param(seed, marks=pytest.mark.slow) for seed in range(1, 5))])
@pytest.mark.parametrize("what", ["load", "offload", "generate"])
def test_ctrl_c_at_any_moment(what, seed, tmp_path):
    llama(hidden_size=128, intermediate_size=320, num_hidden_layers=4).save_pretrained(tmp_path / "model")
    files = sorted((tmp_path / "model").iterdir())
    environment = {**os.environ, "TMPDIR": str(tmp_path / "temporary"), "OMP_NUM_THREADS": "1"}
    (tmp_path / "temporary").mkdir()
    process = subprocess.Popen(
        [sys.executable, "-c", SCRIPT, str(tmp_path), what],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment,
    )  # fmt: skip
    try:
        assert process.stdout.readline() == "ready\n", process.stderr.read()
        time.sleep(random.Random(f"{what} {seed}").uniform(0.05, 0.8))
        process.send_signal(signal.SIGINT)
        # Python forgets a Ctrl-C that comes within the few instructions around a weak reference's callback:
        # a person presses it again.
        while not select.select([process.stdout], [], [], 20)[0]:
            process.send_signal(signal.SIGINT)
        output, errors = process.communicate(timeout=120)
    finally:
        process.kill()
        process.communicate()
    assert process.returncode == 0, errors
    assert output == "stopped\nfine\n", errors
    assert not list((tmp_path / "temporary").iterdir())
    assert sorted((tmp_path / "model").iterdir()) == files
    names = {path.name for path in tmp_path.rglob("*")} - {path.name for path in files}
    assert not [name for name in names if "tmp" in name or name.endswith((".part", ".lock"))], names
