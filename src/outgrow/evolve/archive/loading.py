"""Take a model out of an archive, with its class or without."""

__all__ = ["load"]

from pathlib import Path
from typing import Any

import torch
from torch import nn

from outgrow.errors import InputError
from outgrow.evolve.archive.archive_file import ArchiveContent, ArchiveCorrupt, read_archive
from outgrow.evolve.archive.archived_model import ArchivedModel
from outgrow.evolve.archive.call import CallForm
from outgrow.evolve.archive.edits import edits_from_json


def load(path: str | Path, *, device: str | torch.device = "cpu") -> nn.Module:
    """Open what `evolve.save` wrote, in eval mode.

    Raises:
        InputError: there is no such file, it is no archive, one of a newer version, or without a graph.
        GraphUnreadable: the graph needs an op that this torch has not.
        ArchiveCorrupt: the file is damaged or cut short.
        StoreError: it cannot be read.
    """
    content = read_archive(Path(path))
    try:
        return _archived_model(content, torch.device(device))
    except (AttributeError, IndexError, KeyError, RecursionError, TypeError, ValueError) as err:
        if isinstance(err, InputError):
            raise
        raise ArchiveCorrupt(f"the manifest of {str(path)!r} makes no sense: {err!r}") from err


def _archived_model(content: ArchiveContent, device: torch.device) -> ArchivedModel:
    manifest: Any = content.manifest
    if manifest["graphs"] is None:
        raise InputError(
            f"the archive holds edits and weights of {manifest['class']}, but no graph",
            hint="give a model of that class: evolve.load(path, model=...)",
        )
    model = ArchivedModel(
        {
            name: (content.tensors[name].to(device), kind, flag)
            for name, (kind, flag) in manifest["weights"].items()
        },
        manifest["aliases"],
        {name: content.tensors[f"constants/{name}"].to(device) for name in manifest["constants"]},
        call=CallForm.from_json(manifest["call"]),
        graphs=manifest["graphs"],
        edits=edits_from_json(manifest["edits"]),
    )
    model.check()
    return model.eval()
