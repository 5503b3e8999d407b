"""A recording of a streamed model has the bits of the resident one's at every module."""

import pytest
import torch

from outgrow import stream as ts
from outgrow.capture import open_own, record
from outgrow.difference import difference
from tests.stream.streaming import llama, token_ids, twins

KINDS = ("outputs", "inputs", "parameters")


def run(model, folder, *, passes=2):
    with record(model, folder, kinds=KINDS), torch.inference_mode():
        for length in range(4, 4 + passes):
            model(token_ids(length=length), use_cache=False)


def assert_recordings_identical(actual, expected):
    with open_own(actual) as one, open_own(expected) as other:
        assert [item.name for item in one.records] == [item.name for item in other.records]
        for found, wanted in zip(one.records, other.records, strict=True):
            assert difference(found.read(), wanted.read()).is_identical, found.name
        return {item.module for item in other.records}


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=str)
def test_an_offloaded_model_is_recorded_as_the_resident_one(tmp_path, dtype):
    resident, streaming = twins(llama(dtype), tmp_path / "weights")
    for name, model in (("resident", resident), ("streamed", streaming)):
        run(model, tmp_path / name)
    modules = assert_recordings_identical(tmp_path / "streamed", tmp_path / "resident")
    # A ModuleList is never called.
    assert modules == {name for name, _ in resident.named_modules()} - {"model.layers"}


def test_a_loaded_model_is_recorded_as_the_resident_one(tmp_path):
    from transformers import AutoModelForCausalLM

    llama().save_pretrained(tmp_path / "model")
    resident = AutoModelForCausalLM.from_pretrained(tmp_path / "model").eval()
    with ts.closing(ts.load(tmp_path / "model", budget="100kB")) as streaming:
        assert ts.statistics(streaming).budget_bytes <= 100_000
        run(streaming, tmp_path / "streamed")
        assert ts.statistics(streaming).bytes_read > 0
    run(resident, tmp_path / "resident")
    assert_recordings_identical(tmp_path / "streamed", tmp_path / "resident")


def test_a_wrong_weight_is_found_at_its_module(tmp_path):
    resident, streaming = twins(llama(), tmp_path / "weights")
    with torch.no_grad():
        resident.model.layers[1].mlp.up_proj.weight[3, 5] += 1
    for name, model in (("resident", resident), ("streamed", streaming)):
        run(model, tmp_path / name, passes=1)
    with open_own(tmp_path / "streamed") as one, open_own(tmp_path / "resident") as other:
        unequal = [
            found.name
            for found, wanted in zip(one.records, other.records, strict=True)
            if not difference(found.read(), wanted.read()).is_identical
        ]
    assert unequal[:2] == ["model.layers.1.mlp.up_proj.weight", "model.layers.1.mlp.up_proj.output"]
