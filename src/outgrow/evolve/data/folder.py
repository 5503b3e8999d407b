"""Pictures from a folder: the four IDX files of MNIST and its relatives, or `train.npz` and `test.npz`."""

__all__ = ["read_folder"]

import zipfile
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from outgrow.errors import InputError, StoreError, hint_for
from outgrow.evolve.data.idx import IdxCorrupt, read_idx
from outgrow.evolve.data.pictures import Pictures, split_pictures

_PARTS = {"train": "train", "test": "t10k"}
_FORMS = (
    "a folder holds train-images-idx3-ubyte, train-labels-idx1-ubyte, t10k-images-idx3-ubyte and "
    "t10k-labels-idx1-ubyte (each as it is or with .gz), or train.npz and test.npz with inputs and labels"
)


def read_folder(
    folder: Path, *, name: str | None = None, seed: int = 0, train: int | None = None, hint: str = _FORMS
) -> Pictures:
    """Read the pictures of a folder; the test files are looked for now and read when they are asked for.

    Raises:
        InputError: there is no such folder, files are missing, or pictures and labels do not go together.
        IdxCorrupt: a file is damaged.
        StoreError: a file cannot be read.
    """
    name = name or folder.name
    if not folder.is_dir():
        raise InputError(f"no such folder: {str(folder)!r}", hint=hint)
    places = {part: _files(folder, part) for part in _PARTS}
    for part, files in places.items():
        if not files:
            raise InputError(f"{str(folder)!r} has no files to {part} with", hint=hint)
    inputs, labels = _read(places["train"])
    classes = int(labels.max()) + 1

    def open_test() -> tuple[Tensor, Tensor]:
        test_inputs, test_labels = _read(places["test"])
        if test_inputs.shape[1:] != inputs.shape[1:] or int(test_labels.max()) >= classes:
            raise InputError(
                f"the test pictures of {str(folder)!r} have another shape, or classes that nobody trained",
                hint="both files must be of one data set",
            )
        return test_inputs, test_labels

    scale = 255.0 if inputs.dtype == torch.uint8 else 1.0
    return split_pictures(
        name, (inputs, labels), open_test, classes=classes, seed=seed, scale=scale, train=train
    )


def _files(folder: Path, part: str) -> tuple[Path, ...]:
    """The files of one part; none where one is missing."""
    archive = folder / f"{part}.npz"
    if archive.is_file():
        return (archive,)
    found = []
    for kind in ("images-idx3", "labels-idx1"):
        names = [f"{_PARTS[part]}-{kind}-ubyte", f"{_PARTS[part]}-{kind.replace('-', '.')}-ubyte"]
        wanted = [folder / f"{name}{ending}" for name in names for ending in ("", ".gz")]
        found += [path for path in wanted if path.is_file()][:1]
    return tuple(found) if len(found) == 2 else ()


def _read(files: tuple[Path, ...]) -> tuple[Tensor, Tensor]:
    if len(files) == 1:
        inputs, labels = _read_npz(files[0])
    else:
        inputs, labels = read_idx(files[0], dims=3).unsqueeze(1), read_idx(files[1], dims=1)
    if len(inputs) != len(labels) or not len(labels):
        raise InputError(
            f"{files[0].name} has {len(inputs):,} pictures and {files[-1].name} {len(labels):,} labels",
            hint="both must be of the same part of one data set",
        )
    if labels.is_floating_point() or int(labels.min()) < 0:
        raise InputError(f"the labels in {str(files[-1])!r} are no classes", hint="whole numbers from 0 on")
    return inputs, labels


def _read_npz(path: Path) -> tuple[Tensor, Tensor]:
    try:
        with np.load(path, allow_pickle=False) as held:
            missing = {"inputs", "labels"} - set(held.files)
            if missing:
                raise InputError(
                    f"{str(path)!r} has no {min(missing)!r}, but {', '.join(held.files) or 'nothing'}",
                    hint="np.savez(path, inputs=..., labels=...)",
                )
            inputs, labels = torch.from_numpy(held["inputs"]), torch.from_numpy(held["labels"])
    except (ValueError, TypeError, EOFError, zipfile.BadZipFile) as err:
        if isinstance(err, InputError):
            raise
        raise IdxCorrupt(f"{str(path)!r} cannot be read as arrays: {err}", hint=_FORMS) from err
    except OSError as err:
        raise StoreError(f"cannot read {str(path)!r}: {err.strerror or err}", hint=hint_for(err)) from err
    if inputs.dim() == 3:
        inputs = inputs.unsqueeze(1)
    if inputs.dim() != 4 or labels.dim() != 1:
        raise InputError(
            f"{str(path)!r} has inputs {list(inputs.shape)} and labels {list(labels.shape)}",
            hint="inputs are [samples, (channels,) height, width], labels [samples]",
        )
    return inputs, labels
