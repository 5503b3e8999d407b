"""A test says of two runs that they are the same, or fails with the place."""

import pytest
import torch

from outgrow.compare import assert_same_run
from outgrow.errors import InputError
from outgrow.store import write_safetensors


@pytest.fixture
def path(tmp_path):
    path = tmp_path / "run.safetensors"
    write_safetensors(path, {f"{layer}_query": torch.full((3,), float(layer + 1)) for layer in range(3)})
    return path


def test_equal_runs_pass(path):
    assert_same_run(path, path)


def test_a_difference_fails_with_its_name(path, tmp_path):
    other = tmp_path / "other.safetensors"
    write_safetensors(other, {f"{layer}_query": torch.full((3,), float(layer**2 + 1)) for layer in range(3)})
    with pytest.raises(AssertionError, match="'2_query' is the first tensor that went wrong"):
        assert_same_run(path, other)


def test_nothing_to_pair_fails(path, tmp_path):
    other = tmp_path / "other.safetensors"
    write_safetensors(other, {f"zz{index}": torch.ones(7) for index in range(3)})
    with pytest.raises(AssertionError, match="Too little to say"):
        assert_same_run(path, other)


def test_a_path_that_is_not_there_is_no_difference(path):
    with pytest.raises(InputError):
        assert_same_run(path, path.parent / "no such run")
