"""A run is judged by the precision it computed in, also where its dump was saved in another."""

import pytest
import torch

from outgrow.compare import compare

NAMES = [f"{layer}_{stage}" for layer in range(4) for stage in ("query", "value", "post_mlp")]


def run(noise=0.0, seed=1):
    generator = torch.Generator().manual_seed(0)
    other = torch.Generator().manual_seed(seed)
    return {
        name: torch.randn(8, 32, generator=generator) * (1 + noise * torch.randn(8, 32, generator=other))
        for name in NAMES
    }


def saved(tensors, dtype):
    """As numpy wants it: computed in `dtype`, saved as float32."""
    return {name: value.to(dtype).float() for name, value in tensors.items()}


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
@pytest.mark.parametrize("sides", ["actual", "expected", "both"])
def test_half_precision_saved_as_float32_matches(dtype, sides):
    expected, actual = run(), run(noise=float(torch.finfo(dtype).eps) / 2)
    if sides != "actual":
        expected = saved(expected, dtype)
    if sides != "expected":
        actual = saved(actual, dtype)
    with compare(expected=expected, actual=actual) as found:
        assert found.verdict == "match"
        name = str(dtype).removeprefix("torch.")
        assert len(found.notes) == (2 if sides == "both" else 1)
        assert all(f"computed in {name}" in note for note in found.notes)


def test_one_coarse_tensor_is_a_fault():
    actual = run()
    actual["2_value"] = actual["2_value"].to(torch.bfloat16).float()
    with compare(expected=run(), actual=actual) as found:
        assert found.verdict == "differ"
        assert found.first_divergence.pair.expected_name == "2_value"
        assert not found.notes


def test_a_run_that_becomes_coarse_is_a_fault():
    actual = run(noise=1e-7)
    actual |= {name: actual[name].to(torch.bfloat16).float() for name in NAMES[6:]}
    with compare(expected=run(), actual=actual) as found:
        assert found.first_divergence.pair.expected_name == NAMES[6]


def test_equal_numbers_that_are_fine_speak_against_it():
    """Both runs are equal to the bit until one becomes coarse: not all of its numbers fit."""
    actual = run()
    actual |= {name: actual[name].to(torch.bfloat16).float() for name in NAMES[6:]}
    with compare(expected=run(), actual=actual) as found:
        assert found.verdict == "differ"
        assert found.first_divergence.pair.expected_name == NAMES[6]
        assert not found.notes


def test_equal_numbers_that_are_coarse_speak_for_it():
    """Weights in half precision: what an embedding gives is the same in both runs."""
    expected, actual = run(), saved(run(noise=2**-8), torch.bfloat16)
    expected[NAMES[0]] = actual[NAMES[0]]
    with compare(expected=expected, actual=actual) as found:
        assert found.verdict == "match"
        assert len(found.notes) == 1


def test_equal_numbers_tell_nothing():
    whole = {name: torch.ones(8, 32) for name in NAMES}
    with compare(expected=whole, actual=whole) as found:
        assert found.precisions == ()


def test_who_wants_every_bit_gets_every_bit():
    with compare(expected=run(), actual=saved(run(), torch.bfloat16), is_exact=True) as found:
        assert found.verdict == "differ"
        assert found.precisions == ()
