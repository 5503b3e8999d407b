"""Weights that are stored: complete or not at all."""

import pytest
import torch

from outgrow.errors import StoreError
from outgrow.events import ignore
from outgrow.stream import stored_weights
from outgrow.stream.stored_weights import store_weights

WEIGHTS = {"one": torch.arange(100.0), "two": torch.ones(3, 5, dtype=torch.bfloat16)}


def stored(folder):
    return store_weights(WEIGHTS, frozenset(), folder, compression_level=None, listener=ignore)


@pytest.mark.parametrize("error", [KeyboardInterrupt(), StoreError("no space")], ids=["ctrl-c", "full"])
@pytest.mark.parametrize("step", ["write_safetensors", "write_json"])
def test_nothing_is_left_of_half_a_store(step, error, tmp_path, monkeypatch):
    def fail(*_arguments):
        raise error

    with monkeypatch.context() as patch:
        patch.setattr(stored_weights, step, fail)
        with pytest.raises(type(error)):
            stored(tmp_path)
    assert not list(tmp_path.iterdir())
    assert not stored(tmp_path).was_reused
    assert stored(tmp_path).was_reused
