"""Data sets by name and from folders, split by a seed, the test split shut until it is asked for."""

import sys

import numpy as np
import pytest
import torch

from outgrow.errors import InputError
from outgrow.evolve.data import DATA_SETS, IdxCorrupt, open_data
from tests.evolve.data.test_idx import idx

GENERATOR = np.random.default_rng(0)


def write_idx(folder, train=60, test=12, side=5):
    for part, count in (("train", train), ("t10k", test)):
        pictures = GENERATOR.integers(0, 256, (count, side, side)).astype("u1")
        (folder / f"{part}-images-idx3-ubyte").write_bytes(idx(pictures))
        (folder / f"{part}-labels-idx1-ubyte").write_bytes(idx((np.arange(count) % 3).astype("u1")))
    return folder


def rows(split):
    return {tuple(row.flatten().tolist()) for row in split.inputs}


def test_digits_are_split_without_overlap():
    pytest.importorskip("sklearn")
    pictures = open_data("digits", seed=1)
    assert pictures.shape == (1, 8, 8)
    assert pictures.classes == 10
    train, validation, test = pictures.train, pictures.validation, pictures.open_test()
    assert (len(train), len(validation), len(test)) == (1198, 239, 360)
    assert not rows(train) & rows(test)
    assert not rows(validation) & (rows(train) | rows(test))
    assert abs(float(train.inputs.mean())) < 1e-6
    assert abs(float(train.inputs.std()) - 1) < 1e-6


def test_the_seed_moves_validation_and_leaves_test(tmp_path):
    folder = write_idx(tmp_path)
    one, same, other = (open_data(folder, seed=seed) for seed in (0, 0, 1))
    assert torch.equal(one.validation.labels, same.validation.labels)
    assert one.digest == same.digest != other.digest
    assert torch.equal(one.open_test().labels, other.open_test().labels)
    assert len(one.validation) == 10
    assert len(open_data(folder, train=7).train) == 7


def test_the_test_files_are_not_read_before_they_are_asked_for(tmp_path):
    folder = write_idx(tmp_path)
    (folder / "t10k-images-idx3-ubyte").write_bytes(b"broken")
    pictures = open_data(folder)
    with pytest.raises(IdxCorrupt):
        pictures.open_test()


def test_npz_files_do_as_well(tmp_path):
    for part, count in (("train", 30), ("test", 6)):
        inputs = GENERATOR.normal(size=(count, 3, 4, 4)).astype("f4")
        np.savez(tmp_path / f"{part}.npz", inputs=inputs, labels=np.arange(count) % 2)
    pictures = open_data(tmp_path)
    assert pictures.shape == (3, 4, 4)
    assert pictures.classes == 2
    assert len(pictures.open_test()) == 6


def test_npz_files_with_pickles_are_refused(tmp_path):
    for part in ("train", "test"):
        labels = np.array([object()] * 6, dtype=object)
        np.savez(tmp_path / f"{part}.npz", inputs=np.zeros((6, 2, 2), "f4"), labels=labels)
    with pytest.raises(IdxCorrupt, match="cannot be read as arrays"):
        open_data(tmp_path)


@pytest.mark.parametrize("name", [name for name, known in DATA_SETS.items() if known.variable])
def test_a_missing_data_set_says_where_to_get_it(name, tmp_path, monkeypatch):
    known = DATA_SETS[name]
    monkeypatch.setenv(known.variable, str(tmp_path / "nothing"))
    with pytest.raises(InputError, match="no such folder") as error:
        open_data(name)
    assert known.source in error.value.hint
    assert known.variable in error.value.hint
    assert "--data-dir" in error.value.hint
    write_idx(tmp_path)
    monkeypatch.setenv(known.variable, str(tmp_path))
    assert open_data(name).name == name
    assert open_data(name, folder=tmp_path).name == name


def test_digits_without_scikit_learn_say_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "sklearn.datasets", None)
    with pytest.raises(InputError, match=r"outgrow\[evolve\]"):
        open_data("digits")


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda folder: (folder / "train-labels-idx1-ubyte").unlink(), "has no files to train with"),
        (lambda folder: (folder / "t10k-labels-idx1-ubyte").unlink(), "has no files to test with"),
        (
            lambda folder: (folder / "train-labels-idx1-ubyte").write_bytes(idx(np.zeros(3, "u1"))),
            "60 pictures and train-labels-idx1-ubyte 3 labels",
        ),
        (
            lambda folder: (folder / "train-images-idx3-ubyte").write_bytes(idx(np.zeros(60, "u1"))),
            "has 1 dims, expected 3",
        ),
    ],
    ids=["labels", "test", "count", "exchanged"],
)
def test_a_folder_that_does_not_fit_is_refused(tmp_path, change, words):
    change(write_idx(tmp_path))
    with pytest.raises(InputError, match=words):
        open_data(tmp_path)


def test_test_pictures_of_another_shape_are_refused(tmp_path):
    write_idx(tmp_path)
    (tmp_path / "t10k-images-idx3-ubyte").write_bytes(idx(np.zeros((12, 2, 2), "u1")))
    with pytest.raises(InputError, match="another shape"):
        open_data(tmp_path).open_test()


def test_an_unknown_name_lists_the_nearest():
    with pytest.raises(InputError, match=r"there is no data set 'fashion'.*\n.*fashion-mnist"):
        open_data("fashion")
