"""Fashion-MNIST from local IDX files: 20k to train on, 10k others to choose by, 10k to judge by."""

__all__ = ["DIRECTORY", "ENVIRONMENT", "Pictures", "read_idx", "read_pictures"]

import gzip
import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

DIRECTORY = Path("/usr/share/datasets/fashion-mnist")
"""Where Debian's package dataset-fashion-mnist puts the files."""
ENVIRONMENT = "OUTGROW_FASHION_MNIST"
"""The environment variable that names another directory."""
_DTYPES = {8: np.uint8}
_SPLIT_SEED = 20_17


@dataclass(frozen=True, slots=True, kw_only=True)
class Pictures:
    """Three splits, each with inputs `[samples, 1, height, width]` float32 and labels `[samples]` int64."""

    train: tuple[Tensor, Tensor]
    """What is trained on."""
    validation: tuple[Tensor, Tensor]
    """From the training files too, apart from `train`: all choices are made on it."""
    test: tuple[Tensor, Tensor]
    """From the test files; looked at for the final seeds only."""

    def check(self) -> None:
        """Raise ValueError when inputs and labels of a split do not go together."""
        for inputs, labels in (self.train, self.validation, self.test):
            if len(inputs) != len(labels):
                raise ValueError(f"{len(inputs)} pictures with {len(labels)} labels")


def read_idx(path: Path) -> Tensor:
    """One IDX file of bytes, plain or gzip by its name, as a uint8 tensor.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: the file is not IDX of bytes, or is shorter or longer than its header says.
    """
    data = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
    if len(data) < 4 or data[:2] != b"\0\0" or data[2] not in _DTYPES:
        raise ValueError(f"{path.name} is not an IDX file of bytes")
    ndim = data[3]
    shape = [int.from_bytes(data[4 + 4 * axis : 8 + 4 * axis], "big") for axis in range(ndim)]
    body = np.frombuffer(data, _DTYPES[data[2]], offset=4 + 4 * ndim)
    if body.size != int(np.prod(shape)):
        raise ValueError(f"{path.name} holds {body.size} bytes where its header says {shape}")
    return torch.from_numpy(body.reshape(shape).copy())


def read_pictures(
    directory: Path | None = None, *, train: int = 20_000, validation: int = 10_000, test: int | None = None
) -> Pictures:
    """Read the four files and split the training one, the same way always.

    Args:
        directory: where the files are; `None` for the environment variable, else Debian's place.
        train: so many pictures to train on.
        validation: so many others to choose by.
        test: so many of the test files' pictures; all by default.

    Raises:
        FileNotFoundError: a file is missing; says where to get it.
        ValueError: a file is broken, or holds fewer pictures than asked for.
    """
    if directory is None:
        directory = Path(os.environ.get(ENVIRONMENT, DIRECTORY))
    files = {}
    for part in ("train", "t10k"):
        for kind in ("images-idx3", "labels-idx1"):
            path = directory / f"{part}-{kind}-ubyte.gz"
            if not path.exists():
                raise FileNotFoundError(
                    f"there is no {path.name}: install Debian's package dataset-fashion-mnist, "
                    f"or name the directory with --data or {ENVIRONMENT}"
                )
            files[part, kind] = read_idx(path)
    if train + validation > len(files["train", "images-idx3"]):
        raise ValueError(f"there are only {len(files['train', 'images-idx3'])} pictures to split")
    order = torch.randperm(
        len(files["train", "images-idx3"]), generator=torch.Generator().manual_seed(_SPLIT_SEED)
    )
    inputs = files["train", "images-idx3"].unsqueeze(1).float() / 255
    labels = files["train", "labels-idx1"].long()
    own, held = order[:train], order[train : train + validation]
    mean, deviation = inputs[own].mean(), inputs[own].std()
    last = files["t10k", "images-idx3"][:test].unsqueeze(1).float() / 255
    pictures = Pictures(
        train=((inputs[own] - mean) / deviation, labels[own]),
        validation=((inputs[held] - mean) / deviation, labels[held]),
        test=((last - mean) / deviation, files["t10k", "labels-idx1"][:test].long()),
    )
    pictures.check()
    return pictures
