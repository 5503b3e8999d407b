"""Whatever is compared, words and verdict agree, and what says nothing changes nothing."""

import dataclasses

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from outgrow.compare.judge import Measured, judge
from outgrow.compare.measures import measure
from tests.compare.judge.pairs import pair, words

ERRORS = st.lists(st.sampled_from([0.0, 1e-8, 1e-7, 1e-6, 1e-5, 1e-3, 0.1, 1.0]), min_size=1, max_size=30)


@given(ERRORS)
def test_every_word_agrees_with_the_verdict(errors):
    judgement = judge([pair(str(index), error) for index, error in enumerate(errors)])
    wrong = [index for index, word in enumerate(judgement.judged) if word.status in ("differs", "inherited")]
    assert judgement.first_divergence == (wrong[0] if wrong else None)
    assert (judgement.verdict == "differ") == bool(wrong)
    assert judgement.judged[wrong[0]].status == "differs" if wrong else judgement.healed_at is None
    for index, word in enumerate(judgement.judged):
        is_healed = judgement.healed_at is not None and index >= judgement.healed_at
        assert (word.status == "healed") == is_healed
        assert (word.evidence is not None) == (word.status in ("differs", "inherited"))


@given(ERRORS, st.integers(0, 30))
def test_equal_pairs_change_nothing(errors, place):
    pairs = [pair(f"p{index}", error) for index, error in enumerate(errors)]
    place = min(place, len(pairs))
    more = [*pairs[:place], pair("equal"), *pairs[place:]]
    one, other = judge(pairs), judge(more)
    assert one.verdict == other.verdict
    kept = [word for index, word in enumerate(other.judged) if index != place]
    bad = [word.status in ("differs", "inherited") for word in one.judged]
    assert bad == [word.status in ("differs", "inherited") for word in kept]


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("fault", [0.0, 1e-3, 0.02, 0.5])
def test_powers_of_two_and_the_order_of_elements_change_nothing(dtype, fault):
    generator = torch.Generator().manual_seed(3)
    tensors = [torch.randn(64, 96, generator=generator) for _ in range(4)]
    order = torch.randperm(64 * 96, generator=generator)

    def told(change):
        rows = []
        for index, tensor in enumerate(tensors):
            noise = torch.randn(64, 96, generator=torch.Generator().manual_seed(index))
            off = torch.finfo(dtype).eps / 4 + (fault if index == 2 else 0.0)
            expected, actual = (change(side.to(dtype)) for side in (tensor, tensor * (1 + off * noise)))
            rows.append(
                Measured(
                    name=str(index), stage="x", layer=None, kind="outputs", measures=measure(actual, expected)
                )
            )
        judgement = judge(rows)
        return judgement.verdict, words(judgement)

    plain = told(lambda tensor: tensor)
    assert plain == told(lambda tensor: tensor * 2.0**9) == told(lambda tensor: tensor * 2.0**-9)
    assert plain == told(lambda tensor: tensor.flatten()[order].reshape(64, 96))
    assert plain[0] == (
        "differ"
        if fault > (0.01 if dtype == torch.float32 else 0.1) or (fault and dtype == torch.float32)
        else "match"
    )


def test_values_are_frozen():
    judgement = judge([pair("a")])
    with pytest.raises(dataclasses.FrozenInstanceError):
        judgement.verdict = "differ"
