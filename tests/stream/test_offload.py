"""Offloading frees a model's weights, keeps its results, and changes nothing where it fails."""

import stat

import pytest
import torch
from torch import nn

import outgrow.stream as ts
from outgrow.errors import StoreError
from outgrow.events import Progress
from outgrow.stream.attachment import stream_of
from outgrow.testing.faults import faulty_reads
from tests.stream.streaming import (
    Ballast,
    assert_plain,
    assert_same,
    llama,
    reading_threads,
    streamed,
    token_ids,
    twins,
    weights_bytes,
)


def mixed():
    torch.manual_seed(0)
    return Ballast(
        nn.Sequential(nn.Conv1d(4, 64, 3), nn.Flatten(), nn.Linear(64 * 6, 300), nn.LayerNorm(300))
    )


def inputs():
    return torch.randn(2, 4, 8, generator=torch.Generator().manual_seed(2))


def test_the_model_itself_is_changed_and_returned(tmp_path):
    model = mixed()
    parameters, kind = list(model.parameters()), type(model)
    assert ts.offload(model, ts.Config(storage_path=tmp_path, budget=400_000)) is model
    assert type(model) is kind
    for one, other in zip(model.parameters(), parameters, strict=True):
        assert one is other


@pytest.mark.parametrize("share", [0.35, 0.5, 0.8, 0.99, 1.0, 3.0])
@pytest.mark.parametrize("reader", ["direct", "buffered", "mmap"])
def test_every_budget_and_reader_gives_the_same_bits(share, reader, tmp_path):
    resident = mixed()
    budget = int(weights_bytes(resident) * share)
    model = mixed()
    ts.offload(model, ts.Config(storage_path=tmp_path, budget=budget, reader=reader, debug_mode=True))
    assert stream_of(model).plan.streams_nothing == (share >= 1)
    with torch.no_grad():
        for _ in range(3):
            assert_same(model(inputs()), resident(inputs()))
    figures = ts.statistics(model)
    assert figures.peak_bytes <= budget
    assert figures.passes == 3
    assert (figures.bytes_read > 0) == (share < 1)


@pytest.mark.parametrize("strategy", ["none", "next_layer", "adaptive"])
@pytest.mark.parametrize("threads", [1, 3])
def test_every_strategy_gives_the_same_bits(strategy, threads, tmp_path):
    resident, model = twins(
        mixed(), tmp_path, prefetch_strategy=strategy, num_io_threads=threads, budget=500_000
    )
    with torch.no_grad():
        for _ in range(4):
            assert_same(model(inputs()), resident(inputs()))


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16, torch.float64], ids=str)
def test_every_dtype_gives_the_same_bits(dtype, tmp_path):
    resident, model = twins(mixed().to(dtype), tmp_path)
    with torch.no_grad():
        result, mark = resident.inner(inputs().to(dtype)), resident.before[0].weight
        assert_same(model.inner(inputs().to(dtype)), result)
        assert_same(model.before[0].weight.clone(), mark.clone())


def test_weights_are_written_once_and_found_again(tmp_path):
    resident, model = twins(mixed(), tmp_path)
    files = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*") if path.is_file()}
    assert files
    for path in (tmp_path, *tmp_path.rglob("*")):
        assert stat.S_IMODE(path.stat().st_mode) == (0o700 if path.is_dir() else 0o600), path
    again = streamed(mixed(), tmp_path)
    assert {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*") if path.is_file()} == files
    with torch.no_grad():
        assert_same(again(inputs()), resident(inputs()))
    other = mixed()
    with torch.no_grad():
        other.inner[2].bias[0] += 1
        expected = other(inputs())
    streamed(other, tmp_path)
    assert len(list(tmp_path.iterdir())) == 2
    with torch.no_grad():
        assert_same(other(inputs()), expected)
        assert_same(model(inputs()), resident(inputs()))


def test_a_damaged_store_is_written_anew(tmp_path):
    resident, model = twins(mixed(), tmp_path)
    ts.restore(model)
    (file,) = tmp_path.rglob("weights.safetensors")
    file.write_bytes(file.read_bytes()[:-1])
    again = streamed(mixed(), tmp_path)
    with torch.no_grad():
        assert_same(again(inputs()), resident(inputs()))


def test_a_path_stands_for_a_config(tmp_path):
    model = ts.offload(mixed(), str(tmp_path / "new" / "place"))
    assert ts.statistics(model).budget_bytes > 0
    assert (tmp_path / "new" / "place").is_dir()


def test_listeners_hear_how_far_writing_is(tmp_path):
    heard = []
    ts.offload(mixed(), ts.Config(storage_path=tmp_path, budget=400_000), listener=heard.append)
    written = [event for event in heard if isinstance(event, Progress)]
    assert written[0].total >= weights_bytes(mixed())
    assert [event.done for event in written if event.task == written[0].task] == sorted(
        event.done for event in written if event.task == written[0].task
    )


def test_a_failing_disk_leaves_the_model_as_it_was(tmp_path):
    resident, model = mixed(), mixed()
    flat = torch.cat([parameter.detach().flatten() for parameter in model.parameters()])
    for parameter in model.parameters():
        # Parts of one storage, which would all stay: what is resident has to be read back.
        parameter.data = flat[: parameter.numel()].copy_(parameter.flatten().detach()).view(parameter.shape)
        flat = flat[parameter.numel() :]
    config = ts.Config(storage_path=tmp_path, budget=600_000, reader="buffered")
    with faulty_reads(["eio"] * 1000), pytest.raises(StoreError, match=r"weights\.safetensors"):
        ts.offload(model, config)
    assert_plain(model)
    assert reading_threads() == 0
    assert not list(tmp_path.iterdir())
    with torch.no_grad():
        assert_same(model(inputs()), resident(inputs()))


def test_what_fails_in_the_middle_leaves_the_model_as_it_was(tmp_path, monkeypatch):
    resident, model = mixed(), mixed()
    trained = [parameter.requires_grad for parameter in model.parameters()]

    def fail(*args):
        raise KeyboardInterrupt

    monkeypatch.setattr("outgrow.stream.loader.Loader.start", fail)
    with pytest.raises(KeyboardInterrupt):
        ts.offload(model, ts.Config(storage_path=tmp_path, budget=400_000))
    assert_plain(model)
    assert [parameter.requires_grad for parameter in model.parameters()] == trained
    assert reading_threads() == 0
    with torch.no_grad():
        assert_same(model(inputs()), resident(inputs()))


def test_restore_brings_everything_back(tmp_path):
    resident, model = twins(llama(), tmp_path)
    ts.restore(model)
    assert_plain(model)
    assert reading_threads() == 0
    assert model.lm_head.weight is model.model.embed_tokens.weight
    with torch.no_grad():
        assert_same(model(token_ids()).logits, resident(token_ids()).logits)
        model.lm_head.weight.zero_()
    loss = model(token_ids(), labels=token_ids()).loss
    loss.backward()
    assert model.model.layers[0].mlp.up_proj.weight.grad is not None


def test_a_restored_model_can_be_streamed_again(tmp_path):
    resident, model = twins(llama(), tmp_path)
    for _ in range(3):
        ts.restore(model)
        streamed(model, tmp_path)
        with torch.no_grad():
            assert_same(model(token_ids()).logits, resident(token_ids()).logits)


def test_closing_gives_threads_and_files_back(tmp_path):
    model = streamed(llama(), tmp_path)
    with ts.closing(model) as same:
        assert same is model
        assert reading_threads() == 1
    assert reading_threads() == 0
    with pytest.raises(Exception, match="closed"), torch.no_grad():
        model(token_ids())


def test_closing_also_after_an_exception(tmp_path):
    model = streamed(llama(), tmp_path)
    with pytest.raises(ZeroDivisionError), ts.closing(model):
        raise ZeroDivisionError
    assert reading_threads() == 0


@pytest.mark.parametrize("level", [1, 6, 9])
def test_compressed_weights_are_exact(level, tmp_path):
    pytest.importorskip("blosc2")
    resident = mixed().bfloat16()
    model = mixed().bfloat16()
    options = {"compression_enabled": True, "compression_level": level}
    ts.offload(
        model, ts.Config(storage_path=tmp_path, budget=700_000, num_io_threads=1, debug_mode=True, **options)
    )
    assert not stream_of(model).plan.streams_nothing
    x = inputs().bfloat16()
    with torch.no_grad():
        for _ in range(3):
            assert_same(model.inner(x), resident.inner(x))
    assert_same(model.state_dict(), resident.state_dict())
    (file,) = tmp_path.rglob("weights.safetensors")
    written = file.stat()
    assert written.st_size < 0.9 * weights_bytes(resident)
    ts.restore(model)
    assert_same(model.state_dict(), resident.state_dict())
    ts.offload(model, ts.Config(storage_path=tmp_path, budget=700_000, num_io_threads=1, **options))
    assert file.stat().st_mtime_ns == written.st_mtime_ns
    with torch.no_grad():
        assert_same(model.inner(x), resident.inner(x))


def test_a_compressed_tied_llama_is_exact(tmp_path):
    pytest.importorskip("blosc2")
    resident = llama(torch.bfloat16)
    model = streamed(
        llama(torch.bfloat16), tmp_path, int(weights_bytes(resident) * 0.9), compression_enabled=True
    )
    with torch.no_grad():
        for _ in range(3):
            assert_same(model(token_ids()).logits, resident(token_ids()).logits)
