"""Streamed models leave no threads, files, descriptors or memory behind, however they end."""

import gc
import weakref

import pytest
import torch
from torch import nn

import outgrow.stream as ts
from outgrow.errors import OutgrowError
from outgrow.stream.attachment import stream_of
from tests.stream.streaming import (
    Ballast,
    anonymous_bytes,
    assert_same,
    llama,
    open_files,
    reading_threads,
    streamed,
    token_ids,
)

LARGE = {"hidden_size": 96, "intermediate_size": 200}


def test_fifty_offloaded_models(tmp_path):
    resident, ids = llama(), token_ids()
    least = ts.statistics(streamed(llama(**LARGE), tmp_path)).budget_bytes
    gc.collect()
    for number in range(50):
        model = llama(**LARGE)
        ts.offload(model, ts.Config(storage_path=tmp_path, budget=least, num_io_threads=1))
        with torch.no_grad():
            model(ids)
        del model
        if number == 9:
            before = reading_threads(), open_files(), anonymous_bytes(), len(list(tmp_path.rglob("*")))
    threads, files, memory, entries = before
    assert reading_threads() == threads == 0
    assert open_files() == files
    assert anonymous_bytes() < memory + 8_000_000
    assert len(list(tmp_path.rglob("*"))) == entries
    del resident


def test_fifty_loaded_models(tmp_path):
    llama(**LARGE).save_pretrained(tmp_path / "model")
    for number in range(50):
        model = ts.load(tmp_path / "model", budget="200kB")
        model.generate(token_ids(), max_new_tokens=2, do_sample=False)
        del model
        if number == 9:
            before = reading_threads(), open_files(), anonymous_bytes()
    threads, files, memory = before
    assert reading_threads() == threads == 0
    assert open_files() == files
    assert anonymous_bytes() < memory + 12_000_000


@pytest.mark.parametrize("how", ["closed", "restored", "deleted", "failed in a pass"])
def test_every_end_frees_everything(how, tmp_path):
    threads, files = reading_threads(), open_files()
    model = streamed(llama(**LARGE), tmp_path)
    with torch.no_grad():
        model(token_ids())
    assert reading_threads() == threads + 1
    reference = weakref.ref(model), weakref.ref(stream_of(model)), weakref.ref(model.lm_head.weight)
    if how == "closed":
        with ts.closing(model):
            pass
    elif how == "restored":
        ts.restore(model)
    elif how == "failed in a pass":
        model.model.norm.register_forward_hook(lambda *_: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            model(token_ids())
    if how in ("closed", "restored"):
        assert reading_threads() == threads
        assert open_files() == files
    del model
    gc.collect()
    assert [ref() for ref in reference] == [None] * 3
    assert reading_threads() == threads
    assert open_files() == files


def test_a_kept_view_keeps_no_model_alive(tmp_path):
    class Keeper(nn.Module):
        def __init__(self):
            super().__init__()
            self.weight = nn.Parameter(torch.randn(64, 64))

        def forward(self, x):
            self.stash = self.weight[:5]
            return x @ self.weight

    threads = reading_threads()
    model = streamed(Ballast(Keeper()), tmp_path)
    with torch.no_grad():
        model(torch.ones(1, 64))
        stash, values = model.inner.stash, model.inner.stash.clone()
        reference = weakref.ref(model)
        del model
        gc.collect()
        assert reference() is None
        assert reading_threads() == threads
        # Its memory is its own as long as it lives.
        assert torch.equal(stash, values)


def test_a_kept_weight_says_that_its_model_is_gone(tmp_path):
    model = streamed(llama(**LARGE), tmp_path)
    weight = model.model.layers[0].mlp.up_proj.weight
    assert weight.sum().isfinite()
    del model
    gc.collect()
    assert weight.shape == (200, 96)
    with pytest.raises(OutgrowError, match="gone"):
        weight.sum()
    with pytest.raises(OutgrowError, match="gone"):
        torch.nn.functional.linear(torch.ones(1, 96), weight)


def test_state_outlives_its_model(tmp_path):
    resident, model = llama(**LARGE), streamed(llama(**LARGE), tmp_path)
    state = model.state_dict()
    del model
    gc.collect()
    assert_same(state, resident.state_dict())


def test_hooks_are_as_many_as_before(tmp_path):
    model = llama(**LARGE)
    model.model.norm.register_forward_hook(lambda *_: None)
    before = [(len(m._forward_hooks), len(m._forward_pre_hooks)) for m in model.modules()]
    streamed(model, tmp_path)
    with torch.no_grad():
        model(token_ids())
        model(token_ids())
    assert [(len(m._forward_hooks), len(m._forward_pre_hooks)) for m in model.modules()] == before
    ts.restore(model)
    assert [(len(m._forward_hooks), len(m._forward_pre_hooks)) for m in model.modules()] == before


def test_loaded_state_leaves_no_files(tmp_path, monkeypatch):
    monkeypatch.setenv("TMPDIR", str(tmp_path / "temporary"))
    monkeypatch.setattr("tempfile.tempdir", None)
    (tmp_path / "temporary").mkdir()
    llama(**LARGE).save_pretrained(tmp_path / "model")
    model = ts.load(tmp_path / "model", budget="200kB")
    for factor in (2, 3):
        model.load_state_dict({name: value * factor for name, value in model.state_dict().items()})
        with torch.no_grad():
            model(token_ids())
    assert list((tmp_path / "temporary").iterdir())
    del model
    gc.collect()
    assert not list((tmp_path / "temporary").iterdir())
