"""The sources of Python's own standard library as characters, split by file."""

__all__ = ["VOCABULARY", "Corpus", "Windows", "read_corpus"]

import hashlib
import random
import sysconfig
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

VOCABULARY = 96
"""Printable ASCII from the space on, and the line feed in the place of DEL; all else becomes `?`."""
_LEFT_OUT = {"site-packages", "test", "tests", "idlelib", "lib2to3", "__pycache__", "encodings", "pydoc_data"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Corpus:
    """Characters as int64 numbers below `VOCABULARY`; no file is in both."""

    train: Tensor
    """`[characters]`"""
    held_out: Tensor
    """`[characters]`"""
    files: tuple[int, int]
    """How many there are in each."""
    digest: str
    """SHA-256 of both, since the library differs from one Python to the next."""


def read_corpus(directory: Path | None = None, *, share: float = 0.1, seed: int = 0) -> Corpus:
    """Read all modules below `directory` (the standard library's by default) and hold some files out.

    Tests, tables of encodings and installed packages are left out. Lines are as they are.

    Raises:
        FileNotFoundError: there are fewer than two modules.
    """
    root = directory or Path(sysconfig.get_paths()["stdlib"])
    names = sorted(
        name
        for name in (path.relative_to(root) for path in root.rglob("*.py"))
        if not _LEFT_OUT & set(name.parts)
    )
    if len(names) < 2:
        raise FileNotFoundError("no Python sources here: this Python has no sources of its standard library")
    random.Random(seed).shuffle(names)
    held = max(1, round(share * len(names)))
    parts = [_characters(root, names[held:]), _characters(root, names[:held])]
    digest = hashlib.sha256(b"".join(part.to(torch.uint8).numpy().tobytes() for part in parts)).hexdigest()
    return Corpus(train=parts[0], held_out=parts[1], files=(len(names) - held, held), digest=digest)


def _characters(root: Path, names: list[Path]) -> Tensor:
    data = b"\n".join((root / name).read_bytes() for name in names)
    table = bytes(
        95 if byte == 10 else byte - 32 if 32 <= byte < 127 else ord("?") - 32 for byte in range(256)
    )
    return torch.frombuffer(bytearray(data.translate(table, b"\r")), dtype=torch.uint8).long()


class Windows:
    """Random windows of the text, the same for the same seed whatever the model is."""

    def __init__(self, text: Tensor, length: int, batch: int, seed: int) -> None:
        self._text, self._length, self._batch = text, length, batch
        self._generator = torch.Generator().manual_seed(seed)

    def next(self) -> tuple[Tensor, Tensor]:
        """Inputs and targets, each `[batch, length]`, the targets one character later."""
        starts = torch.randint(len(self._text) - self._length, (self._batch, 1), generator=self._generator)
        windows = self._text[starts + torch.arange(self._length + 1)]
        return windows[:, :-1], windows[:, 1:]
