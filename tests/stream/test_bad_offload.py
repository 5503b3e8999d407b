"""Models and options that cannot be are refused by `offload` with a hint, and the model is what it was."""

import json
import subprocess

import pytest
import torch
from torch import nn

import outgrow.stream as ts
from outgrow.errors import InputError, OutgrowError, StoreError
from tests.stream.streaming import assert_plain, assert_same, streamed


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
