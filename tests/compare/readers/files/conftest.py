"""What several files about torch files are given."""

import pytest
import torch

from tests.compare.readers.files.torch_contents import WAYS


@pytest.fixture(params=WAYS)
def save(request, tmp_path):
    def save(value):
        path = tmp_path / "x.pth"
        torch.save(value, path, **WAYS[request.param])
        return path

    return save
