"""Each registered reader keeps the contract."""

from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from outgrow.compare.readers import READERS
from outgrow.compare.readers.dtypes import DTYPES
from outgrow.store.header import DTYPES as STORED
from tests.compare.readers.files.file_reader_contract import FileReaderContract

OF_NUMPY = tuple(dtype for name, dtype in DTYPES.items() if hasattr(np, name) or name == "bool")


class TorchContract(FileReaderContract):
    def save(self, path, named):
        torch.save(named, path)


class TestPth(TorchContract):
    suffix = ".pth"


class TestPt(TorchContract):
    suffix = ".pt"

    def save(self, path, named):
        torch.save(named, path, pickle_protocol=5)


class TestBin(TorchContract):
    suffix = ".bin"

    def save(self, path, named):
        torch.save(named, path, _use_new_zipfile_serialization=False)


class TestNpy(FileReaderContract):
    suffix = ".npy"
    dtypes = OF_NUMPY
    holds_many = False

    def save(self, path, named):
        (tensor,) = named.values()
        np.save(path, tensor.numpy())


class TestNpz(FileReaderContract):
    suffix = ".npz"
    dtypes = OF_NUMPY

    def save(self, path, named):
        np.savez(path, **{name: tensor.numpy() for name, tensor in named.items()})


class TestSafetensors(FileReaderContract):
    suffix = ".safetensors"
    keeps_order = False
    dtypes = tuple(dtype for dtype in DTYPES.values() if dtype in STORED.values())

    def save(self, path, named):
        save_file(named, path)


CONTRACTS = (TestPth, TestPt, TestBin, TestNpy, TestNpz, TestSafetensors)


def test_every_reader_is_under_contract():
    assert {contract.suffix for contract in CONTRACTS} == set(READERS)


@pytest.mark.parametrize("suffix", READERS)
def test_every_reader_is_documented(suffix):
    page = Path(__file__).parents[4] / "docs" / "reference" / "compare-formats.md"
    assert f"| `{suffix}` |" in page.read_text()
