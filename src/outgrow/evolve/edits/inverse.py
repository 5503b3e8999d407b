"""What it takes to put a model back, bit for bit, as it was before an edit."""

__all__ = ["Inverse", "Restored", "digest", "inverse_of", "put_back"]

import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from outgrow.evolve.errors import CannotUndo
from outgrow.evolve.surgery.surgery import ABSENT, Reindexing, Replacement, Surgery

_BITS = {1: torch.uint8, 2: torch.int16, 4: torch.int32, 8: torch.int64}


@dataclass(frozen=True, slots=True, kw_only=True)
class Restored:
    """How the contents that a weight had come out of those that it has now."""

    weight: str
    """Qualified name in the changed model."""
    found: str
    """Digest of the contents after the edit: what has to be there."""
    left: str
    """Digest of the contents before it: what has to come out."""
    images: Mapping[int, Tensor] = field(default_factory=dict)
    """Dim -> int64 `[old]`: where each old index is now, -1 where it is not any more."""
    dim: int | None = None
    """Of what `places` are indices; None where `slices` are the whole contents, or nothing is needed."""
    places: Tensor | None = None
    """int64 `[n]`: the old indices that cannot be found in the changed model."""
    slices: Tensor | None = None
    """What was there."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Inverse:
    """The way back from an edit."""

    weights: tuple[Restored, ...] = ()
    """Weights and buffers whose contents were exchanged."""
    added: Mapping[str, str] = field(default_factory=dict)
    """Qualified name of a parameter that was not there before -> digest: where it differs, it was trained."""
    attributes: tuple[tuple[str, str, Any], ...] = ()
    """Path of a holder (module or configuration), attribute, value before; `ABSENT` where there was none."""
    children: tuple[tuple[str, tuple[tuple[str, str | None], ...]], ...] = ()
    """Parent -> for each child that it had, the name and where that module is now; None: `lost`."""
    lost: Mapping[str, nn.Module | None] = field(default_factory=dict)
    """`parent.name` -> a module that is no longer part of the model; not held in JSON."""


def digest(tensor: Tensor) -> str:
    """A checksum of dtype, shape and bytes: it tells trained from untrained, not friend from foe."""
    data = tensor.detach().cpu().contiguous()
    flat = data.reshape(-1).view(torch.uint8) if data.numel() else torch.empty(0, dtype=torch.uint8)
    shape = "x".join(map(str, tensor.shape))
    return f"{str(tensor.dtype).removeprefix('torch.')}:{shape}:{zlib.crc32(flat.numpy().data):08x}"


def inverse_of(surgery: Surgery) -> Inverse:
    """The inverse of what was done; to be taken before anything else changes the model."""
    model = surgery.model
    names = {id(tensor): name for name, tensor in [*model.named_parameters(), *model.named_buffers()]}
    by_tensor: dict[int, list[Replacement]] = {}
    for one in surgery.replacements:
        by_tensor.setdefault(id(one.tensor), []).append(one)
    before = {id(one) for one in surgery.held_before}
    modules = {id(module): name for name, module in model.named_modules(remove_duplicate=False)}
    children, lost = _children(surgery, modules)
    return Inverse(
        weights=tuple(_restored(names[key], chain) for key, chain in by_tensor.items() if key in names),
        added={name: digest(one) for name, one in model.named_parameters() if id(one) not in before},
        attributes=_attributes(surgery, modules),
        children=children,
        lost=lost,
    )


def _restored(name: str, chain: list[Replacement]) -> Restored:
    before, after = chain[0].before, chain[0].tensor.data
    images = _images(before, [one for replacement in chain for one in replacement.reindexings])
    sizes = {dim: len(image) for dim, image in images.items()}
    found, left = digest(after), digest(before)
    if any(sizes.get(dim, after.shape[dim]) != size for dim, size in enumerate(before.shape)) or (
        before.dtype != after.dtype or before.dim() != after.dim()
    ):
        return Restored(weight=name, slices=before.clone(), found=found, left=left)
    differs = _bits(_selected(after, images)) != _bits(before)
    if not differs.any():
        return Restored(weight=name, images=images, found=found, left=left)
    if not before.dim():
        return Restored(weight=name, slices=before.clone(), found=found, left=left)
    # Along the dim in which the fewest entries have to be kept.
    along = {dim: _any_but(differs, dim).nonzero()[:, 0] for dim in range(before.dim())}
    dim = min(along, key=lambda one: len(along[one]) / before.shape[one])
    return Restored(
        weight=name,
        images=images,
        dim=dim,
        places=along[dim].cpu(),
        slices=before.index_select(dim, along[dim]).clone(),
        found=found,
        left=left,
    )


def _images(before: Tensor, reindexings: list[Reindexing]) -> dict[int, Tensor]:
    images: dict[int, Tensor] = {}
    for one in reindexings:
        old = images.get(one.dim, torch.arange(before.shape[one.dim]))
        image = torch.full((1 + max(int(old.max()), int(one.gather.max())),), -1)
        stays = (~one.fresh).nonzero()[:, 0].flip(0)  # the first of several wins
        image[one.gather[stays]] = stays
        images[one.dim] = torch.where(old >= 0, image[old.clamp(min=0)], -1)
    return images


def _selected(tensor: Tensor, images: Mapping[int, Tensor]) -> Tensor:
    for dim, image in images.items():
        tensor = tensor.index_select(dim, image.clamp(min=0).to(tensor.device))
    return tensor


def _bits(tensor: Tensor) -> Tensor:
    return tensor.detach().view(_BITS[tensor.element_size()])


def _any_but(flags: Tensor, dim: int) -> Tensor:
    others = [one for one in range(flags.dim()) if one != dim]
    return flags.any(dim=others) if others else flags


def _attributes(surgery: Surgery, modules: Mapping[int, str]) -> tuple[tuple[str, str, Any], ...]:
    found: dict[tuple[str, str], Any] = {}
    for holder, attribute, before in surgery.assigned:
        path = modules.get(id(holder))
        if path is None:
            path = _path_of(surgery.model, holder)
        if path is not None:
            found.setdefault((path, attribute), before)
    return tuple((path, attribute, before) for (path, attribute), before in found.items())


def _path_of(model: nn.Module, holder: Any) -> str | None:
    """Where something that is no module hangs: `config`, `encoder.config`."""
    for name, module in model.named_modules():
        for attribute, value in vars(module).items():
            if value is holder:
                return f"{name}.{attribute}" if name else attribute
    return None


def _children(
    surgery: Surgery, modules: Mapping[int, str]
) -> tuple[tuple[tuple[str, tuple[tuple[str, str | None], ...]], ...], dict[str, nn.Module | None]]:
    found: dict[str, tuple[tuple[str, str | None], ...]] = {}
    lost: dict[str, nn.Module | None] = {}
    for parent, children in surgery.rearranged:
        path = modules.get(id(parent))
        if path is None or path in found:
            continue
        entries: list[tuple[str, str | None]] = []
        for name, child in children.items():
            where = modules.get(id(child))
            entries.append((name, where))
            if where is None:
                lost[f"{path}.{name}"] = child
        found[path] = tuple(entries)
    return tuple(found.items()), lost


def put_back(surgery: Surgery, inverse: Inverse) -> None:
    """Make the model of `surgery` as it was before the edit; all is looked at before the first change.

    Raises:
        CannotUndo: it is not as the edit left it, or something that is needed is not held.
    """
    model = surgery.model
    named = dict([*model.named_parameters(), *model.named_buffers()])
    contents = [(one, named.get(one.weight), _before(one, named.get(one.weight))) for one in inverse.weights]
    for name, found in inverse.added.items():
        if name not in named or digest(named[name]) != found:
            raise _changed_since(name, is_there=name in named)
    arranged = [_resolved(model, inverse, parent, entries) for parent, entries in inverse.children]
    holders = [(_reach(model, path), attribute, value) for path, attribute, value in inverse.attributes]
    for one, tensor, before in contents:
        assert tensor is not None
        reindexings = [
            Reindexing(dim=dim, gather=image.clamp(min=0), fresh=image < 0)
            for dim, image in one.images.items()
        ]
        surgery.replace(tensor, before, *reindexings)
    for holder, attribute, value in holders:
        if value is ABSENT:
            surgery.remove(holder, attribute)
        else:
            surgery.assign(holder, attribute, value)
    for parent, children in arranged:
        surgery.rearrange(parent, children)


def _before(one: Restored, tensor: Tensor | None) -> Tensor:
    """The contents that a weight had."""
    if tensor is None or digest(tensor) != one.found:
        raise _changed_since(one.weight, is_there=tensor is not None)
    if one.slices is None:
        before = _selected(tensor.data, one.images)
    elif one.dim is None:
        before = one.slices.to(tensor.device).clone()
    else:
        assert one.places is not None
        before = _selected(tensor.data, one.images).contiguous()
        before.index_copy_(one.dim, one.places.to(tensor.device), one.slices.to(tensor.device))
    if digest(before) != one.left:
        raise CannotUndo(
            f"what the edit holds of {one.weight} does not lead back to its contents before",
            hint="its tensors are damaged, or belong to another edit",
        )
    return before if before is not tensor.data else before.clone()


def _changed_since(name: str, *, is_there: bool) -> CannotUndo:
    return CannotUndo(
        f"{name} is no longer as the edit left it" if is_there else f"the model has no {name}",
        hint="undo later edits first, the last one first; what was trained since cannot be undone bit for "
        "bit: evolve.prune takes units away again, and evolve.transaction rolls training back",
    )


def _resolved(
    model: nn.Module, inverse: Inverse, parent: str, entries: tuple[tuple[str, str | None], ...]
) -> tuple[nn.Module, dict[str, nn.Module | None]]:
    children: dict[str, nn.Module | None] = {}
    for name, where in entries:
        key = f"{parent}.{name}"
        if where is None and key not in inverse.lost:
            raise CannotUndo(
                f"module {key} was taken out of the model, and an edit read from JSON does not hold modules",
                hint="undo with the edit that the operator returned, or replay the edits before it",
            )
        children[name] = inverse.lost[key] if where is None else _reach(model, where)
    return _reach(model, parent), children


def _reach(model: nn.Module, path: str) -> Any:
    found: Any = model
    for name in path.split(".") if path else []:
        if not hasattr(found, name):
            raise _changed_since(path, is_there=False)
        found = getattr(found, name)
    return found
