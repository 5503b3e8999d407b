"""The inverse of an edit as JSON, with its tensors beside it."""

__all__ = ["inverse_from_json", "inverse_tensors", "inverse_to_json"]

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from outgrow.errors import InputError
from outgrow.evolve.edits.inverse import Inverse, Restored
from outgrow.evolve.surgery.surgery import ABSENT


def inverse_to_json(inverse: Inverse) -> dict[str, Any]:
    """Everything but the tensors and the modules."""
    return {
        "weights": [
            {
                "weight": one.weight,
                "found": one.found,
                "left": one.left,
                "images": sorted(one.images),
                "dim": one.dim,
                "kept": one.slices is not None,
            }
            for one in inverse.weights
        ],
        "added": dict(inverse.added),
        "attributes": [[path, name, _encoded(value)] for path, name, value in inverse.attributes],
        "children": [[parent, [list(entry) for entry in entries]] for parent, entries in inverse.children],
    }


def inverse_tensors(inverse: Inverse) -> dict[str, Tensor]:
    """The tensors: `3.image.0`, `3.places`, `3.slices` for the weight in place 3."""
    found: dict[str, Tensor] = {}
    for place, one in enumerate(inverse.weights):
        found |= {f"{place}.image.{dim}": image for dim, image in one.images.items()}
        if one.places is not None:
            found[f"{place}.places"] = one.places
        if one.slices is not None:
            found[f"{place}.slices"] = one.slices.contiguous()
    return found


def inverse_from_json(given: Mapping[str, Any], tensors: Mapping[str, Tensor]) -> Inverse:
    """What `inverse_to_json` and `inverse_tensors` took apart.

    Raises:
        KeyError, TypeError, ValueError: it is something else.
    """
    return Inverse(
        weights=tuple(_weight(place, one, tensors) for place, one in enumerate(given["weights"])),
        added={str(name): str(found) for name, found in given["added"].items()},
        attributes=tuple((path, name, _decoded(value)) for path, name, value in given["attributes"]),
        children=tuple(
            (str(parent), tuple((name, where) for name, where in entries))
            for parent, entries in given["children"]
        ),
    )


def _weight(place: int, given: Mapping[str, Any], tensors: Mapping[str, Tensor]) -> Restored:
    images = {dim: tensors[f"{place}.image.{dim}"] for dim in given["images"]}
    if any(image.dtype != torch.int64 or image.dim() != 1 for image in images.values()):
        raise ValueError(f"the indices of {given['weight']} are none")
    return Restored(
        weight=given["weight"],
        found=given["found"],
        left=given["left"],
        images=images,
        dim=given["dim"],
        places=tensors[f"{place}.places"] if given["dim"] is not None else None,
        slices=tensors[f"{place}.slices"] if given["kept"] else None,
    )


def _encoded(value: Any) -> Any:
    if value is ABSENT:
        return {"absent": True}
    if isinstance(value, tuple):
        return {"tuple": [_encoded(one) for one in value]}
    if isinstance(value, list):
        return [_encoded(one) for one in value]
    if value is None or isinstance(value, bool | int | float | str):
        return value
    raise InputError(
        f"an attribute was a {type(value).__name__}, which JSON cannot hold",
        hint="undo with the edit that the operator returned",
    )


def _decoded(value: Any) -> Any:
    if isinstance(value, dict):
        return ABSENT if "absent" in value else tuple(_decoded(one) for one in value["tuple"])
    return [_decoded(one) for one in value] if isinstance(value, list) else value
