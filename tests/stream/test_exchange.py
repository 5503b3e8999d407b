"""What `load_state_dict` puts in the place of streamed weights: the same bits and strides as in memory."""

import copy
import gc
import os

import pytest
import torch
from torch import nn

import outgrow.stream as ts
from outgrow.errors import StoreError
from outgrow.stream.attachment import attachment_of, stream_of
from outgrow.stream.loader import Loader
from tests.stream.streaming import assert_same, llama, streamed, token_ids

LARGE = {"hidden_size": 64, "intermediate_size": 160, "num_hidden_layers": 3}


@pytest.fixture
def temporary(tmp_path, monkeypatch):
    """Where temporary directories are made."""
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "temporary"))
    (tmp_path / "temporary").mkdir()
    return tmp_path / "temporary"


@pytest.fixture
def loaded(tmp_path, temporary):
    """A model opened from a checkpoint: what is loaded into it goes to a temporary directory."""
    llama(**LARGE).save_pretrained(tmp_path / "model")
    return ts.load(tmp_path / "model", budget="200kB")


def doubled(model):
    return {name: value * 2 for name, value in model.state_dict().items()}


def linears(tmp_path):
    return streamed(nn.Sequential(*(nn.Linear(160, 160) for _ in range(6))), tmp_path, 300_000)


def test_the_sign_of_zero_is_a_change(tmp_path):
    model = linears(tmp_path)
    zeros = {name: torch.zeros_like(value) for name, value in model.state_dict().items()}
    model.load_state_dict(zeros)
    model.load_state_dict({name: -value for name, value in zeros.items()})
    assert all(value.signbit().all() for value in model.state_dict().values())


def test_strides_stay(tmp_path):
    resident = nn.Sequential(*(nn.Conv2d(16, 16, 5) for _ in range(4))).to(memory_format=torch.channels_last)
    model = streamed(copy.deepcopy(resident), tmp_path, 90_000)
    state = doubled(resident)
    for one in (resident, model):
        one.load_state_dict(state)
    strides = [parameter.stride() for parameter in resident.parameters()]
    assert [parameter.stride() for parameter in model.parameters()] == strides
    x = torch.randn(2, 16, 20, 20)
    with torch.no_grad():
        assert_same(model(x), resident(x))
    ts.restore(model)
    assert [parameter.stride() for parameter in model.parameters()] == strides


def test_a_copy_outlives_the_model_that_state_was_loaded_into(loaded, temporary):
    loaded.load_state_dict(doubled(loaded))
    with torch.no_grad():
        expected = loaded(token_ids()).logits
        copied = copy.deepcopy(loaded)
        del loaded
        gc.collect()
        assert_same(copied(token_ids()).logits, expected)


def test_states_loaded_one_after_the_other_take_the_place_of_one(loaded, temporary):
    for _ in range(3):
        loaded.load_state_dict(doubled(loaded))
        gc.collect()
        assert len(list(temporary.iterdir())) == 1
    assert not stream_of(loaded).problems()


def test_the_same_state_is_stored_once(tmp_path):
    model = linears(tmp_path)
    first, state = {k: v.clone() for k, v in model.state_dict().items()}, doubled(model)
    for _ in range(3):
        model.load_state_dict(state)
        model.load_state_dict(first)
    assert len([path for path in tmp_path.iterdir() if path.is_dir()]) == 2


def test_ctrl_c_while_new_weights_are_read(loaded, monkeypatch):
    state = doubled(loaded)

    def interrupted(*_arguments, **_options):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(Loader, "fetch_now", interrupted)
        with pytest.raises(KeyboardInterrupt):
            loaded.load_state_dict(state)
    with torch.no_grad():
        interrupted_logits = loaded(token_ids()).logits
        loaded.load_state_dict(state)
        assert_same(loaded(token_ids()).logits, interrupted_logits)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
def test_a_forked_process_takes_no_files_along(loaded, temporary):
    loaded.load_state_dict(doubled(loaded))
    process = os.fork()
    if not process:
        for folder in attachment_of(loaded).folders:
            folder.remove()
        os._exit(0)
    os.waitpid(process, 0)
    assert list(temporary.iterdir())


@pytest.mark.parametrize(
    "write", [lambda p: p.data.mul_(3), lambda p: p.detach().mul_(3)], ids=["data", "detached"]
)
def test_copies_never_lose_what_was_changed_in_memory(write, tmp_path):
    model = linears(tmp_path)
    changed = next(parameter for parameter in model.parameters() if type(parameter) is nn.Parameter)
    write(changed)
    with pytest.raises(StoreError, match="changed in memory") as error:
        copy.deepcopy(model)
    assert "load_state_dict" in error.value.hint
    model.load_state_dict({name: value.clone() for name, value in model.state_dict().items()})
    x = torch.randn(2, 160)
    with torch.no_grad():
        assert_same(copy.deepcopy(model)(x), model(x))
