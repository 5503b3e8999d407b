"""Checkpoints that several files about streaming open."""

import pytest

from tests.stream.tiny_models import FAMILIES, SMALL, make_model, save


@pytest.fixture(scope="session")
def saved(tmp_path_factory):
    folders = {}

    def folder_of(family, **options):
        key = (family, *options.items())
        if key not in folders:
            folder = tmp_path_factory.mktemp("model")
            folders[key] = save(make_model(*FAMILIES[family]), folder, **options)
        return folders[key]

    return folder_of


@pytest.fixture
def llama(tmp_path):
    return save(make_model("LlamaForCausalLM", SMALL), tmp_path / "llama")
