"""Whatever cannot be is refused with an error of the right family, a hint, and nothing changed."""

import json
import os
import shutil
import subprocess

import pytest
import torch
from torch import nn

import outgrow.stream as ts
from outgrow.errors import DeviceError, InputError, OutgrowError, StoreError
from outgrow.store import open_checkpoint
from outgrow.store.header import StoreCorrupt
from outgrow.store.integrity import record_digests, verify
from tests.stream.streaming import assert_plain, assert_same, llama, streamed, token_ids

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


# -- load


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


# -- offload


def make():
    torch.manual_seed(0)
    return nn.Sequential(*(nn.Linear(160, 160) for _ in range(8)))


def assert_untouched(model):
    assert_plain(model)
    assert_same(list(model.parameters()), list(make().parameters()))
    assert all(parameter.requires_grad for parameter in model.parameters())


def refused_offload(family, match, model=None, *, hint=True, **options):
    model = make() if model is None else model
    with pytest.raises(family, match=match) as error:
        ts.offload(model, ts.Config(**{"budget": 300_000, **options}))
    assert not hint or error.value.hint
    return error.value


def test_no_place_to_write():
    model = make()
    refused_offload(InputError, "directory", model, storage_path=None)
    assert_untouched(model)


def test_a_file_where_a_directory_should_be(tmp_path):
    (tmp_path / "file").write_text("mine")
    for path in (tmp_path / "file", tmp_path / "file" / "below"):
        model = make()
        with pytest.raises(OutgrowError) as error:
            ts.offload(model, ts.Config(storage_path=path, budget=300_000))
        assert str(tmp_path / "file") in str(error.value)
        assert_untouched(model)
    assert (tmp_path / "file").read_text() == "mine"


def test_a_directory_that_cannot_be_written():
    model = make()
    with pytest.raises(StoreError, match="/proc"):
        ts.offload(model, ts.Config(storage_path="/proc/outgrow", budget=300_000))
    assert_untouched(model)


@pytest.fixture
def small_disk(tmp_path):
    place = tmp_path / "disk"
    place.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=256k", "tmpfs", str(place)], capture_output=True, check=False
    )
    if mounted.returncode:
        pytest.skip("mounting needs more rights")
    yield place
    subprocess.run(["umount", "-l", str(place)], check=True)


def test_a_full_disk(small_disk):
    model = make()
    with pytest.raises(StoreError, match=r"(?i)space|full") as error:
        ts.offload(model, ts.Config(storage_path=small_disk / "store", budget=300_000))
    assert error.value.hint
    assert_untouched(model)
    assert not [path for path in small_disk.rglob("*") if path.is_file()]


def test_a_model_without_parameters(tmp_path):
    refused_offload(InputError, "no parameters", nn.ReLU(), storage_path=tmp_path / "s")
    assert not (tmp_path / "s").exists()


def test_what_is_no_model(tmp_path):
    for thing in (None, 3, "gpt2", [nn.Linear(1, 1)]):
        with pytest.raises(InputError, match="Module"):
            ts.offload(thing, ts.Config(storage_path=tmp_path))


def test_a_model_that_is_streamed_already(tmp_path):
    model = streamed(make(), tmp_path)
    refused_offload(InputError, "streamed already", model, storage_path=tmp_path)
    refused_offload(InputError, "streamed already", nn.Sequential(model), storage_path=tmp_path)
    with torch.no_grad():
        assert_same(model(torch.ones(1, 160)), make()(torch.ones(1, 160)))


def test_a_part_of_a_streamed_model(tmp_path):
    model = streamed(make(), tmp_path)
    for part in model:
        refused_offload(InputError, "streamed", nn.Sequential(part), storage_path=tmp_path, budget=60_000)
    with torch.no_grad():
        assert_same(model(torch.ones(1, 160)), make()(torch.ones(1, 160)))


def test_parameters_without_bytes(tmp_path):
    refused_offload(InputError, "meta", nn.Linear(160, 160, device="meta"), storage_path=tmp_path, hint=False)
    refused_offload(InputError, "no shape", nn.LazyLinear(160), storage_path=tmp_path, hint=False)


def test_overlapping_parameters(tmp_path):
    model = make()
    data = torch.zeros(161, 160)
    model[0].weight = nn.Parameter(data[:-1])
    model[1].weight = nn.Parameter(data[1:])
    refused_offload(InputError, "share part", model, storage_path=tmp_path)


def test_sparse_parameters(tmp_path):
    model = make()
    model[0].weight = nn.Parameter(torch.eye(160).to_sparse(), requires_grad=False)
    refused_offload(InputError, "layout|storage", model, storage_path=tmp_path, hint=False)


OPTIONS = {
    "backend": ("cudo", "cuda"),
    "prefetch_strategy": ("adaptiv", "adaptive"),
    "memory_pressure_mode": ("agressive", "aggressive"),
}


@pytest.mark.parametrize("option", OPTIONS)
def test_unknown_values_name_the_nearest(option):
    wrong, near = OPTIONS[option]
    with pytest.raises(InputError, match=option) as error:
        ts.Config(**{option: wrong})
    assert near in error.value.hint
    for value in (3, None, True, b"cuda"):
        with pytest.raises(InputError, match=option) as error:
            ts.Config(**{option: value})
        assert near in error.value.hint


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("num_io_threads", 0), ("num_io_threads", -1), ("num_io_threads", 1.5), ("num_io_threads", True),
        ("num_io_threads", 10_000), ("compression_level", 0), ("compression_level", 10),
        ("compression_level", "6"),
        ("compression_enabled", "yes"), ("debug_mode", 1), ("vram_budget_gb", 0), ("vram_budget_gb", -4),
        ("vram_budget_gb", "4"), ("vram_budget_gb", float("nan")), ("vram_budget_gb", float("inf")),
        ("vram_budget_gb", True), ("budget", "27XB"), ("budget", 0), ("budget", True), ("storage_path", ""),
        ("storage_path", 7),
    ],
    ids=repr,
)  # fmt: skip
def test_values_that_cannot_be(option, value):
    with pytest.raises(InputError):
        ts.Config(**{option: value})
    config, model = ts.Config(storage_path="x"), make()
    setattr(config, option, value)
    with pytest.raises(InputError):
        ts.offload(model, config)


def test_unknown_readers_name_the_nearest(tmp_path):
    model = make()
    error = refused_offload(InputError, "reader", model, storage_path=tmp_path, reader="bufferd")
    assert "buffered" in error.hint
    assert_untouched(model)


def test_compression_without_its_package(tmp_path, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "blosc2", None)
    model = make()
    error = refused_offload(
        InputError,
        "blosc2",
        model,
        storage_path=tmp_path,
        budget=700_000,
        compression_enabled=True,
        num_io_threads=1,
    )
    assert "codec" in error.hint
    assert_untouched(model)
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]


def test_functions_for_streamed_models_refuse_others():
    model = make()
    for function in (
        ts.statistics,
        ts.health,
        ts.restore,
        ts.get_model_statistics,
        lambda m: ts.set_budget(m, "1MB"),
    ):
        with pytest.raises(InputError, match="not streamed") as error:
            function(model)
        assert error.value.hint
        with pytest.raises(InputError, match="Module"):
            function(None)
    with pytest.raises(InputError, match="not streamed"), ts.closing(model):
        pass
    assert_untouched(model)


def test_errors_can_be_sent_to_other_processes(checkpoint):
    import pickle

    error = refused(ts.BudgetTooSmall, "cannot", path=checkpoint, budget=10)
    again = pickle.loads(pickle.dumps(error))
    assert (type(again), str(again), again.least_bytes) == (type(error), str(error), error.least_bytes)


def test_a_manifest_of_rubbish_is_not_believed(tmp_path):
    model = streamed(make(), tmp_path)
    ts.restore(model)
    (manifest,) = tmp_path.rglob("manifest.json")
    for text in ("", "{", "[]", json.dumps({"format": "outgrow.stored-weights"})):
        manifest.write_text(text)
        streamed(model, tmp_path)
        with torch.no_grad():
            assert_same(model(torch.ones(1, 160)), make()(torch.ones(1, 160)))
        ts.restore(model)


def test_what_must_stay_in_memory_counts_before_anything_is_written(tmp_path):
    model = torch.nn.Sequential(*(torch.nn.Linear(64, 64) for _ in range(4)))
    config = ts.Config(storage_path=tmp_path / "store", budget="30kB", keep_resident=("*",))
    with pytest.raises(ts.BudgetTooSmall):
        ts.offload(model, config)
    assert not (tmp_path / "store").exists()


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
