import gc
import os
import weakref

import numpy as np
import pytest
import torch

from outgrow.compare.view import kept_sides
from outgrow.compare.view.kept_sides import KeptSides
from outgrow.store import StoreChanged
from tests.compare.view.two_runs import made, numbers, two_runs


def packed(folder, *sides, save=np.savez_compressed, **more):
    """A comparison of two files."""
    paths = [folder / f"{side}.npz" for side in ("expected", "actual")]
    for path, tensors in zip(paths, sides, strict=True):
        save(path, **{name: tensor.numpy() for name, tensor in tensors.items()})
    return made(*paths, **more)


@pytest.fixture
def comparison(tmp_path):
    with packed(tmp_path, *two_runs()) as comparison:
        assert len(comparison.findings) > 2
        yield comparison


def test_the_last_pair_is_read_once(comparison, monkeypatch):
    read = []
    whole = kept_sides.aligned_sides
    monkeypatch.setattr(kept_sides, "aligned_sides", lambda finding: read.append(finding) or whole(finding))
    kept, (one, other) = KeptSides(), comparison.findings[:2]
    first = kept.aligned(one)
    assert kept.aligned(one) is first
    assert kept.aligned(other) is not first
    assert kept.aligned(one) is not first
    assert [found.pair.expected_name for found in read] == ["0_query", "0_key", "0_query"]


def test_large_tensors_are_not_kept(monkeypatch, tmp_path):
    monkeypatch.setattr(kept_sides, "_MOST_BYTES", 100)
    sides = {"0_query": numbers(4, 6)}, {"0_query": numbers(4, 6)}
    with packed(tmp_path, *sides) as comparison:
        (finding,) = comparison.findings
        kept = KeptSides()
        assert kept.aligned(finding) is not kept.aligned(finding)


def test_nothing_is_kept_beyond_the_next_pair(comparison):
    kept = KeptSides()
    side = weakref.ref(kept.aligned(comparison.findings[0])[0])
    kept.aligned(comparison.findings[1])
    gc.collect()
    assert side() is None


def test_what_cannot_be_laid_out_is_refused_and_the_next_is_kept(tmp_path):
    sides = (
        {"0_query": numbers(4, 6), "1_query": torch.ones(3)},
        {"0_query": numbers(4, 5), "1_query": torch.ones(3)},
    )
    with packed(tmp_path, *sides, name_map={"0_query": "0_query"}) as comparison:
        kept = KeptSides()
        with pytest.raises(ValueError, match="cannot be laid out"):
            kept.aligned(comparison.findings[0])
        assert kept.aligned(comparison.findings[1]) is kept.aligned(comparison.findings[1])


def test_pages_of_a_file_are_not_kept_beyond_its_end(tmp_path):
    sides = {"0_query": numbers(600, 600)}, {"0_query": numbers(600, 600)}
    with packed(tmp_path, *sides, save=np.savez) as comparison:
        (finding,) = comparison.findings
        kept = KeptSides()
        assert kept.aligned(finding) is not kept.aligned(finding)
        os.truncate(tmp_path / "actual.npz", 100)
        with pytest.raises(StoreChanged):
            kept.aligned(finding)
