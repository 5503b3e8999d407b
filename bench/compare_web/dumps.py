"""Two dumps that differ by noise, some tensors laid out otherwise: folders, archives, and many rows."""

__all__ = ["make_archives", "make_folders", "make_rows"]

import io
import math
import os
import shutil
import tarfile
import zipfile
from collections.abc import Iterator
from pathlib import Path

import torch
from safetensors.torch import save_file
from torch import Tensor

_HEADS = ("query", "key", "value", "query_final", "key_final", "value_final", "post_attn")
_HIDDEN = ("post_ln_pre_attn", "pre_mlp", "post_mlp")
_TURNED = ("key_final", "value_final")
"""Stages that the actual run holds with the heads in front."""
_PACKED = 0.92
"""What deflating leaves of random numbers in float32."""
_SIDES = ("expected", "actual")


def make_folders(folder: Path, *, nbytes: int, layers: int) -> tuple[Path, Path]:
    """A folder for each side, `nbytes` in all its files; a safetensors file for each layer."""
    done = folder / f"complete-{nbytes}-{layers}"
    if not done.exists():
        shutil.rmtree(folder, ignore_errors=True)
        for side in _SIDES:
            (folder / side).mkdir(parents=True)
        for layer in range(layers):
            sides: dict[str, dict[str, Tensor]] = {side: {} for side in _SIDES}
            for name, pair in _layer(layer, nbytes // layers):
                for side, tensor in zip(_SIDES, pair, strict=True):
                    sides[side][name] = tensor
            for side, tensors in sides.items():
                save_file(tensors, folder / side / f"layer{layer:03}.safetensors")
        done.touch()
        os.sync()
    return folder / "expected", folder / "actual"


def make_archives(folder: Path, kind: str, *, nbytes: int, layers: int) -> tuple[Path, Path]:
    """An archive for each side, about `nbytes` large, of `{layer}_{stage}.pth` files: `zip` deflated as most
    programs do it, `zip-stored`, or `tar.gz`."""
    done = folder / f"complete-{nbytes}-{layers}"
    suffix = "tar.gz" if kind == "tar.gz" else "zip"
    paths = (folder / f"expected.{suffix}", folder / f"actual.{suffix}")
    if done.exists():
        return paths
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    writers = [_writer(path, kind) for path in paths]
    unpacked = nbytes if kind == "zip-stored" else round(nbytes / _PACKED)
    for layer in range(layers):
        for name, pair in _layer(layer, unpacked // layers):
            for writer, tensor in zip(writers, pair, strict=True):
                content = io.BytesIO()
                torch.save(tensor, content)
                _add(writer, f"{name}.pth", content.getvalue())
    for writer in writers:
        writer.close()
    done.touch()
    os.sync()
    return paths


def make_rows(folder: Path, *, rows: int, elements: int = 1024) -> tuple[Path, Path]:
    """A file for each side with `rows` small tensors; every hundredth is on one side only."""
    paths = (folder / "expected.safetensors", folder / "actual.safetensors")
    done = folder / f"complete-{rows}-{elements}"
    if done.exists():
        return paths
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    numbers = torch.randn(rows, elements, generator=torch.Generator().manual_seed(0))
    noise = 1e-6 * torch.randn(rows, elements, generator=torch.Generator().manual_seed(1))
    names = [f"model.layers.{row // 64}.mlp.experts.{row % 64}.up_proj.weight" for row in range(rows)]
    save_file({name: numbers[row] for row, name in enumerate(names) if row % 100 != 50}, paths[0])
    other = numbers + noise
    save_file({name: other[row] for row, name in enumerate(names) if row % 100 != 51}, paths[1])
    done.touch()
    return paths


def _layer(layer: int, nbytes: int) -> Iterator[tuple[str, tuple[Tensor, Tensor]]]:
    numbers, noise = (torch.Generator().manual_seed(2 * layer + side) for side in range(2))
    elements = nbytes // 4 // len(_HEADS + _HIDDEN)
    # [batch, seq, heads, dim]: four dims to turn, of sizes as they occur.
    seq = max(1, elements // (4 * 16 * 64))
    for stage in (*_HEADS, *_HIDDEN):
        shape = (4, seq, 16, 64) if stage in _HEADS else (4, seq, 16 * 64)
        expected = torch.randn(shape, generator=numbers)
        actual = torch.randn(shape, generator=noise).mul_(1e-6).add_(expected)
        assert math.prod(shape) == expected.numel()
        if stage in _TURNED:
            actual = actual.transpose(1, 2).contiguous()
        yield f"{layer}_{stage}", (expected, actual)


def _writer(path: Path, kind: str) -> "zipfile.ZipFile | tarfile.TarFile":
    if kind == "tar.gz":
        return tarfile.open(path, "w:gz", compresslevel=6)
    packed = {"zip": zipfile.ZIP_DEFLATED, "zip-stored": zipfile.ZIP_STORED}[kind]
    return zipfile.ZipFile(path, "w", packed)


def _add(writer: "zipfile.ZipFile | tarfile.TarFile", name: str, content: bytes) -> None:
    if isinstance(writer, zipfile.ZipFile):
        writer.writestr(name, content)
        return
    about = tarfile.TarInfo(name)
    about.size = len(content)
    writer.addfile(about, io.BytesIO(content))
