"""However the names of a run are written, all of it is paired, and nothing against its place."""

import random
import time

import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import outgrow.capture
from outgrow.capture.recorded import open_own
from outgrow.compare.names import pair_records
from tests.compare.names.made import recording, shown
from tests.compare.names.paired_names import paired
from tests.compare.names.truth import families, parameters_of

words = st.text("abcdefghij", min_size=4, max_size=8)
names = st.lists(st.lists(words, min_size=1, max_size=4).map(".".join), min_size=2, max_size=30, unique=True)


@given(names, names)
@settings(max_examples=60, deadline=None)
def test_unrelated_names_are_never_paired_without_a_note(here, there):
    for pair in paired(here, there).pairs:
        assert pair.note or pair.expected.name == pair.actual[0].name


@given(st.sampled_from(families()), st.randoms(use_true_random=False), st.booleans())
@settings(max_examples=60, deadline=None)
def test_a_run_whose_names_are_written_otherwise_is_paired_completely(family, rng, is_wrapped):
    """Prefixes, separators, case and zeros are changed; what answers what is known."""
    known = [name.name for name in parameters_of(family)]
    separator = rng.choice("._/-")
    front = rng.choice(["module.", "_orig_mod.", "_orig_mod.module."]) if is_wrapped else ""
    written = {name: front.replace(".", ".") + name.replace(".", separator) for name in known}
    if separator == "-":
        written = {name: text.upper() for name, text in written.items()}
    actual = list(written.values())
    rng.shuffle(actual)
    found = shown(paired(known, actual))
    assert {name: found[name] for name in found} == {name: written[name] for name in found}
    assert set(found) == set(known)


@given(
    names,
    st.lists(st.sampled_from([0, 1, 2, 3, 5, 9]), min_size=1, max_size=4, unique=True),
    st.integers(0, 6),
)
@settings(max_examples=60, deadline=None)
def test_layers_are_never_paired_against_the_shift(stages, numbers, shift):
    expected = [f"layers.{number}.{stage}" for number in numbers for stage in stages]
    actual = [f"layers.{number + shift}.{stage}" for number in numbers for stage in stages]
    found = paired(expected, actual)
    offsets = {int(p.actual[0].name.split(".")[1]) - p.layer for p in found.pairs}
    assert len(offsets) <= 1
    assert offsets <= {0, shift}
    assert not offsets - {0} or found.notes


def test_time_grows_with_the_names_and_not_with_their_square():
    rng = random.Random(3)
    here = [f"model.layers.{index}.mlp.up_proj.weight" for index in range(15_000)]
    there = [f"blk.{index}.ffn_up.weight" for index in range(15_000)]
    here += [f"{rng.random()}.{index}" for index in range(5_000)]
    there += [f"{rng.random()}.{index}.x" for index in range(5_000)]
    expected, actual = recording(*here), recording(*there)
    started = time.process_time()
    found = pair_records(expected, [actual])
    assert time.process_time() - started < 8  # 0.7 s where this was written, on an idle machine
    assert len(found.pairs) == 15_000


def test_a_run_that_was_recorded_finds_all_of_itself(tmp_path):
    model = torch.nn.Sequential(torch.nn.Linear(4, 4), torch.nn.GELU(), torch.nn.Linear(4, 4))
    kinds = ("outputs", "inputs", "parameters")
    for path in (tmp_path / "one", tmp_path / "two"):
        with outgrow.capture.record(model, path, kinds=kinds):
            for _ in range(2):
                model(torch.zeros(2, 4))
    with open_own(tmp_path / "one") as expected, open_own(tmp_path / "two") as actual:
        found = pair_records(expected, [actual])
    assert len(found.pairs) == len(expected.records) > 10
    assert [pair.expected.sequence for pair in found.pairs] == list(range(len(found.pairs)))
    for pair in found.pairs:
        (there,) = pair.actual
        here = pair.expected
        assert (here.name, here.step, here.call) == (there.name, there.step, there.call)
