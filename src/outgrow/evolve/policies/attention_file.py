"""The learned policy as a file: weights, what the network reads, and what it was trained on."""

__all__ = ["POLICY_VERSION", "SHIPPED", "PolicyFileInvalid", "load_network", "read_about", "save_network"]

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from outgrow.errors import InputError, StoreError
from outgrow.evolve.archive.archive_file import read_archive, write_archive
from outgrow.evolve.policies.attention_network import AttentionPolicyNetwork
from outgrow.evolve.policies.attention_state import LAYER_FIGURES, OPERATORS, RUN_FIGURES

POLICY_VERSION = 1
"""Of the file and of what the figures mean; another version's weights would read them wrongly."""
SHIPPED = Path(__file__).with_name("attention_policy.safetensors")
"""The network that comes with outgrow."""
_KIND = "outgrow.evolve.attention_policy"


class PolicyFileInvalid(InputError):
    """A file is no learned policy, is damaged, or was made for other figures or by another version."""


def save_network(network: AttentionPolicyNetwork, path: Path, about: Mapping[str, Any] | None = None) -> None:
    """Write a network over layers; equal weights give equal bytes.

    Args:
        network: one that reads the figures and operators of `attention_state`.
        path: the file; it appears whole or not at all.
        about: what it was trained on and how, as JSON can hold it.

    Raises:
        InputError: the network reads something else.
    """
    about = {
        "version": POLICY_VERSION,
        "operators": list(OPERATORS),
        "layer_figures": list(LAYER_FIGURES),
        "run_figures": list(RUN_FIGURES),
        "width": network.norm.normalized_shape[0],
        "heads": network.heads,
        "blocks": len(network.blocks),
        "about": dict(about or {}),
    }
    expected = (len(RUN_FIGURES), 1, len(LAYER_FIGURES), len(OPERATORS))
    if (network.state_dim, network.num_actions, network.layer_dim, network.layer_actions) != expected:
        raise InputError(
            "this network does not read the figures of layers that a file holds one for",
            hint="a flat network is saved with its own state_dict",
        )
    tensors = {name: tensor.detach().cpu().contiguous() for name, tensor in network.state_dict().items()}
    write_archive(path, about, tensors, overwrite=True, kind=_KIND)


def read_about(path: Path = SHIPPED) -> dict[str, Any]:
    """What a file says of itself, checked: version, figures, operators, and what it was trained on.

    Raises:
        PolicyFileInvalid: it is no learned policy, or one that this version cannot read.
    """
    return _read(path)[0]


def _read(path: Path) -> tuple[dict[str, Any], dict[str, torch.Tensor]]:
    try:
        content = read_archive(path, kind=_KIND)
    except (StoreError, InputError, OSError) as err:
        what = err.message if isinstance(err, StoreError | InputError) else str(err)
        raise PolicyFileInvalid(
            f"{path.name} cannot be read as a learned policy: {what}",
            hint="load the shipped one, or train one: python -m bench evolve_decisions --ship FILE",
        ) from err
    about = dict(content.manifest)
    if about.get("version") != POLICY_VERSION:
        raise PolicyFileInvalid(
            f"{path.name} is of version {about.get('version')}, and this outgrow reads {POLICY_VERSION}",
            hint="take an outgrow of that version, or train the policy anew",
        )
    mine = {"operators": OPERATORS, "layer_figures": LAYER_FIGURES, "run_figures": RUN_FIGURES}
    for name, expected in mine.items():
        if about.get(name) != list(expected):
            raise PolicyFileInvalid(
                f"{path.name} was trained with the {name} {about.get(name)}, expected {list(expected)}",
                hint="train the policy anew for these",
            )
    return about, dict(content.tensors)


def load_network(path: Path = SHIPPED) -> AttentionPolicyNetwork:
    """The network of a file, on the CPU, in eval mode.

    Raises:
        PolicyFileInvalid: it is no learned policy, or one that this version cannot read.
    """
    about, tensors = _read(path)
    try:
        with torch.random.fork_rng(devices=[]):
            network = AttentionPolicyNetwork(
                len(RUN_FIGURES),
                1,
                layer_dim=len(LAYER_FIGURES),
                layer_actions=len(OPERATORS),
                width=about["width"],
                heads=about["heads"],
                blocks=about["blocks"],
            )
        network.load_state_dict(tensors)
    except (KeyError, TypeError, RuntimeError, InputError) as err:
        raise PolicyFileInvalid(
            f"{path.name} does not hold the weights that it says: {err}", hint="fetch or train it anew"
        ) from err
    return network.eval()
