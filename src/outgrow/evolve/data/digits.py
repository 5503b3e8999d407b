"""The digits of scikit-learn: 1,797 pictures of 8 by 8, on every machine that has the package."""

__all__ = ["read_digits"]

import torch

from outgrow.errors import InputError
from outgrow.evolve.data.pictures import Pictures, split_pictures

_TEST_SEED = 1797
_TEST = 360


def read_digits(*, seed: int = 0, train: int | None = None) -> Pictures:
    """Digits with 360 pictures to test with, the same ones whatever the seed.

    Raises:
        InputError: scikit-learn is not installed.
    """
    try:
        # Imported here, for it takes a second and nothing else needs it.
        from sklearn.datasets import load_digits
    except ImportError as err:
        raise InputError(
            "the data set 'digits' comes with scikit-learn, which is not installed",
            hint="pip install 'outgrow[evolve]', or give a folder of IDX files",
        ) from err
    raw = load_digits()
    inputs = torch.from_numpy(raw.images).float().unsqueeze(1)
    labels = torch.from_numpy(raw.target).long()
    order = torch.randperm(len(labels), generator=torch.Generator().manual_seed(_TEST_SEED))
    test, known = order[:_TEST], order[_TEST:]
    return split_pictures(
        "digits",
        (inputs[known], labels[known]),
        lambda: (inputs[test], labels[test]),
        classes=10,
        seed=seed,
        scale=16.0,
        train=train,
    )
