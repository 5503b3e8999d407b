"""Small runs for the page."""

import io
import zipfile

import torch

from outgrow.store import write_safetensors

STAGES = ("query", "key", "value", "post_attn", "post_mlp")


def planted(layers=4, factor=1.3, wrong="2_post_attn"):
    """Two runs that part at one stage of one layer: everything from there on is too large."""
    generator = torch.Generator().manual_seed(0)
    names = [f"{layer}_{stage}" for layer in range(layers) for stage in STAGES]
    expected = {name: torch.randn(2, 3, 8, 16, generator=generator) for name in names}
    start = names.index(wrong)
    actual = {
        name: value * factor if place >= start else value.clone()
        for place, (name, value) in enumerate(expected.items())
    }
    return expected, actual


def write_runs(folder, expected, actual):
    """Both as safetensors."""
    folder.mkdir(parents=True, exist_ok=True)
    paths = folder / "expected.safetensors", folder / "actual.safetensors"
    for path, tensors in zip(paths, (expected, actual), strict=True):
        write_safetensors(path, tensors)
    return paths


def write_zip(path, tensors):
    """An archive of a `.pth` for each tensor."""
    with zipfile.ZipFile(path, "w") as archive:
        for name, value in tensors.items():
            content = io.BytesIO()
            torch.save(value, content)
            archive.writestr(f"{name}.pth", content.getvalue())
    return path
