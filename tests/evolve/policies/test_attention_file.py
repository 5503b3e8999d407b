import json
import struct

import pytest
import torch

from outgrow.errors import InputError
from outgrow.evolve.policies import attention_file
from outgrow.evolve.policies.attention_file import (
    SHIPPED,
    PolicyFileInvalid,
    load_network,
    read_about,
    save_network,
)
from outgrow.evolve.policies.attention_network import AttentionPolicyNetwork


def network(seed=0, **more):
    torch.manual_seed(seed)
    return AttentionPolicyNetwork(8, 1, layer_dim=11, layer_actions=2, **{"width": 8, "blocks": 1, **more})


def test_what_is_loaded_scores_as_what_was_saved(tmp_path):
    saved = network(width=12, heads=3, blocks=2)
    save_network(saved, tmp_path / "policy.safetensors", {"seed": 5})
    loaded = load_network(tmp_path / "policy.safetensors")
    given = (torch.randn(8), torch.randn(4, 11))
    assert torch.equal(loaded(*given)[0], saved(*given)[0])
    assert not loaded.training
    assert read_about(tmp_path / "policy.safetensors")["about"] == {"seed": 5}


def test_loading_leaves_the_random_state(tmp_path):
    save_network(network(), tmp_path / "policy.safetensors")
    state = torch.get_rng_state()
    load_network(tmp_path / "policy.safetensors")
    assert torch.equal(torch.get_rng_state(), state)


def test_equal_weights_give_equal_bytes(tmp_path):
    for name in ("one", "other"):
        save_network(network(), tmp_path / name, {"b": 1, "a": 2})
    assert (tmp_path / "one").read_bytes() == (tmp_path / "other").read_bytes()


def test_flat_network_is_refused(tmp_path):
    with pytest.raises(InputError, match="figures of layers"):
        save_network(AttentionPolicyNetwork(8, 6), tmp_path / "policy.safetensors")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("version", [0, 2])
def test_another_version_is_refused(tmp_path, monkeypatch, version):
    monkeypatch.setattr(attention_file, "POLICY_VERSION", version)
    save_network(network(), tmp_path / "policy.safetensors")
    monkeypatch.undo()
    with pytest.raises(PolicyFileInvalid, match=f"version {version}"):
        load_network(tmp_path / "policy.safetensors")


def test_other_figures_are_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(attention_file, "LAYER_FIGURES", tuple("abcdefghijk"))
    save_network(network(), tmp_path / "policy.safetensors")
    monkeypatch.undo()
    with pytest.raises(PolicyFileInvalid, match="layer_figures"):
        load_network(tmp_path / "policy.safetensors")


def test_file_cut_short_or_of_another_kind_is_refused(tmp_path):
    path = tmp_path / "policy.safetensors"
    with pytest.raises(PolicyFileInvalid):
        load_network(path)
    save_network(network(), path)
    path.write_bytes(path.read_bytes()[:-40])
    with pytest.raises(PolicyFileInvalid):
        load_network(path)
    header = json.dumps({"a": {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]}}).encode()
    path.write_bytes(struct.pack("<Q", len(header)) + header + bytes(4))
    with pytest.raises(PolicyFileInvalid, match="learned policy"):
        load_network(path)


def test_weights_of_another_size_are_refused(tmp_path, monkeypatch):
    path = tmp_path / "policy.safetensors"
    wrong = network()
    wrong.heads = 3
    save_network(wrong, path)
    with pytest.raises(PolicyFileInvalid, match="weights"):
        load_network(path)


def test_shipped_policy_is_small_and_loads():
    assert SHIPPED.stat().st_size < 300_000
    about = read_about()
    assert about["about"]["trained_on"]
    assert not any("mnist" in task for task in about["about"]["trained_on"])
    scores, _ = load_network()(torch.zeros(8), torch.zeros(3, 11))
    assert bool(torch.isfinite(scores).all())
