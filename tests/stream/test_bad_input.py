"""Whatever cannot be opened is refused with an error of the right family and a hint."""

import os
import shutil

import pytest
import torch

import outgrow.stream as ts
from outgrow.errors import DeviceError, InputError, OutgrowError, StoreError
from outgrow.store import open_checkpoint
from outgrow.store.header import StoreCorrupt
from outgrow.store.integrity import record_digests, verify
from tests.stream.streaming import assert_same, llama, streamed, token_ids

LARGE = {"hidden_size": 64, "intermediate_size": 160, "num_hidden_layers": 3}


@pytest.fixture
def checkpoint(tmp_path):
    llama(**LARGE).save_pretrained(tmp_path / "model", max_shard_size="200kB")
    return tmp_path / "model"


def largest(folder):
    return max(folder.glob("*.safetensors"), key=lambda path: path.stat().st_size)


def refused(family, match, *, hint=True, **arguments):
    with pytest.raises(family, match=match) as error:
        ts.load(**{"budget": "300kB", **arguments})
    assert not hint or error.value.hint
    return error.value


def test_a_missing_path_names_the_nearest(checkpoint):
    error = refused(InputError, "no such file", path=checkpoint.parent / "modle")
    assert "model" in error.hint


def test_not_a_model(tmp_path):
    (tmp_path / "empty").mkdir()
    refused(InputError, r"config\.json", path=tmp_path / "empty")
    (tmp_path / "notes.txt").write_text("hello")
    refused(InputError, "not a model", path=tmp_path / "notes.txt")


def test_a_folder_without_weights(checkpoint):
    for file in checkpoint.glob("*.safetensors*"):
        file.unlink()
    refused(OutgrowError, "safetensors|weights|checkpoint", path=checkpoint)


def test_a_truncated_file(checkpoint):
    file = largest(checkpoint)
    os.truncate(file, file.stat().st_size - 100)
    error = refused(StoreError, "bytes", path=checkpoint)
    assert file.name in str(error)


def test_a_header_of_rubbish(checkpoint):
    file = largest(checkpoint)
    data = bytearray(file.read_bytes())
    data[8:40] = b"\xff" * 32
    file.write_bytes(data)
    assert file.name in str(refused(StoreError, "header", path=checkpoint))


def test_an_empty_file(checkpoint):
    largest(checkpoint).write_bytes(b"")
    refused(StoreError, "bytes|header", path=checkpoint)


def test_an_index_that_names_a_missing_file(checkpoint):
    file = largest(checkpoint)
    file.unlink()
    error = refused(OutgrowError, "missing|no such|not there|exist", path=checkpoint)
    assert file.name in str(error)


def test_an_index_that_is_no_json(checkpoint):
    (checkpoint / "model.safetensors.index.json").write_text("{")
    refused(OutgrowError, "JSON|json", path=checkpoint)


def test_a_flipped_bit_is_found_by_its_digest(tmp_path):
    llama(**LARGE).save_pretrained(tmp_path / "model")
    file = largest(tmp_path / "model")
    record_digests(tmp_path / "model")
    assert not verify(tmp_path / "model").damages
    data = bytearray(file.read_bytes())
    data[-1000] ^= 4
    file.write_bytes(data)
    (damage,) = verify(tmp_path / "model").damages
    assert file.name in str(damage)


@pytest.mark.parametrize("dtype", ["float33", "int64", torch.int32, "", torch.bool])
def test_dtypes_that_cannot_be(dtype, checkpoint):
    refused(InputError, "dtype", path=checkpoint, dtype=dtype)


@pytest.mark.parametrize(
    "budget", ["27XB", "0", 0, -1, "-5MB", "abc", "", True, 1.5, float("nan"), b"1MB"], ids=repr
)
def test_budgets_that_cannot_be(budget, checkpoint):
    refused(InputError, "budget|size|unit|bytes|number|zero", path=checkpoint, budget=budget, hint=False)


def test_an_absurdly_large_budget_is_fine(checkpoint):
    model = ts.load(checkpoint, budget="900TB")
    with torch.no_grad():
        assert_same(model(token_ids()).logits, ts.restore(ts.load(checkpoint))(token_ids()).logits)


def test_a_budget_too_small_names_the_least(checkpoint):
    error = refused(ts.BudgetTooSmall, "cannot run this model", path=checkpoint, budget=10)
    assert str(f"{error.least_bytes:,}") in error.hint
    ts.load(checkpoint, budget=error.least_bytes)


def test_two_budgets(checkpoint):
    refused(InputError, "two budgets", path=checkpoint, config=ts.Config(budget="1MB"))


@pytest.mark.parametrize("device", ["gpu0", "meta", 3.5, "cuda:9999"])
def test_devices_that_cannot_be(device, checkpoint):
    if device == "cuda:9999" and not torch.cuda.is_available():
        with pytest.raises((DeviceError, AssertionError, RuntimeError)):
            ts.load(checkpoint, budget="300kB", device=device)
        return
    refused(OutgrowError, "device|compute on", path=checkpoint, device=device)


def test_a_config_of_another_kind(checkpoint):
    refused(InputError, "Config", path=checkpoint, config={"budget": 3}, hint=False)


# -- while it runs


@pytest.mark.parametrize("how", ["replaced", "truncated", "touched", "removed"])
@pytest.mark.parametrize("way", ["load", "offload"])
def test_a_file_that_changes_while_the_model_runs(how, way, checkpoint, tmp_path):
    if way == "load":
        model, file = ts.load(checkpoint, budget="300kB"), largest(checkpoint)
    else:
        model = streamed(llama(**LARGE), tmp_path / "store")
        (file,) = (tmp_path / "store").rglob("*.safetensors")
    with torch.no_grad():
        model(token_ids())
        if how == "replaced":
            shutil.copy(file, file.with_suffix(".new"))
            file.with_suffix(".new").rename(file)
        elif how == "truncated":
            os.truncate(file, file.stat().st_size // 2)
        elif how == "touched":
            os.utime(file, ns=(1, 1))
        else:
            file.unlink()
        with pytest.raises(StoreError, match=file.name) as error:
            model(token_ids())
        with pytest.raises(StoreError, match=file.name):
            model(token_ids())
    assert error.value.hint or how == "removed"
    assert not ts.health(model).is_healthy
    with pytest.raises(StoreError):
        ts.restore(model)


def test_errors_can_be_sent_to_other_processes(checkpoint):
    import pickle

    error = refused(ts.BudgetTooSmall, "cannot", path=checkpoint, budget=10)
    again = pickle.loads(pickle.dumps(error))
    assert (type(again), str(again), again.least_bytes) == (type(error), str(error), error.least_bytes)


def test_a_flipped_bit_is_refused_where_digests_are_checked(checkpoint):
    with pytest.raises(InputError, match="digests are known of 0 of"):
        ts.load(checkpoint, budget="10MB", check_digests=True)
    record_digests(checkpoint)
    ts.restore(ts.load(checkpoint, budget="10MB", check_digests=True))
    meta = max(open_checkpoint(checkpoint).tensors.values(), key=lambda meta: meta.nbytes)
    with meta.path.open("r+b") as file:
        file.seek(meta.offset + 5)
        byte = file.read(1)[0]
        file.seek(meta.offset + 5)
        file.write(bytes([byte ^ 1]))
    with pytest.raises(StoreCorrupt, match=meta.name):
        ts.load(checkpoint, budget="10MB", check_digests=True)


@pytest.mark.parametrize("path", [None, 123, ""])
def test_a_path_that_is_none(path):
    with pytest.raises(InputError, match="path must be"):
        ts.load(path, budget="10MB")
