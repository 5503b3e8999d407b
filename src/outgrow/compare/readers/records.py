"""From the files of a dump to records with names of their own."""

__all__ = ["SHARD", "records_of"]

import os.path
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import PurePosixPath

from outgrow.capture.recording import Record, Refusal
from outgrow.compare.readers.file_reader import FileContent, FoundTensor
from outgrow.names import matches, natural_key

# What Hugging Face writes between a model's name and the suffix of one of its several files.
SHARD = re.compile(r"-[0-9]{5}-of-[0-9]{5}$")


def records_of(
    files: Sequence[tuple[str, FileContent]], *, only: str = "*"
) -> tuple[tuple[Record, ...], tuple[Refusal, ...]]:
    """The records of all files of one dump, in natural order of their entries, and what was refused.

    `files` are pairs of entry (the path below the dump, `/` between folders) and content. A file's name is
    its entry without suffix, and without folder unless two files would then be called alike. A tensor within
    a file is `file/key`; where all tensors come from one file, or from the numbered parts of one model, just
    `key`. `only` is a glob on these names. Names that cannot be UTF-8 have `\\udcff` written out. Of several
    tensors of one name all are refused: to compare the wrong one would be a wrong answer.
    """
    files = sorted(files, key=lambda pair: natural_key(pair[0]))
    stems = _stems([entry for entry, _ in files])
    holders = {stems[entry] for entry, content in files if content.records}
    has_bare = any(found.inner == "" for _, content in files for found in content.records)
    is_alone = len(holders) == 1 and not has_bare
    records: list[Record] = []
    refused = [refusal for _, content in files for refusal in content.refused]
    named = [
        (_name(stems[entry], found.inner, is_alone=is_alone), entry, found)
        for entry, content in files
        for found in content.records
    ]
    counts = Counter(name for name, _, _ in named)
    for name, entry, found in named:
        if counts[name] > 1:
            reason = f"{counts[name]:,} tensors are called {name!r}; none is believed"
            refused.append(Refusal(entry=_printable(f"{entry}/{found.inner}"), reason=reason))
        elif matches(name, only):
            records.append(_record(name, found, len(records)))
    return tuple(records), tuple(
        replace(refusal, entry=_printable(refusal.entry), reason=_printable(refusal.reason))
        for refusal in refused
    )


def _stems(entries: Sequence[str]) -> dict[str, str]:
    """What each file is called."""
    without = {entry: SHARD.sub("", str(PurePosixPath(entry).with_suffix(""))) for entry in entries}
    shards = {entry for entry in entries if SHARD.search(PurePosixPath(entry).stem)}
    # Parts of one model share their name on purpose.
    distinct = {without[entry] for entry in shards}
    counted = Counter([PurePosixPath(without[entry]).name for entry in entries if entry not in shards])
    counted.update(PurePosixPath(stem).name for stem in distinct)
    if max(counted.values(), default=0) > 1:
        folder = os.path.commonpath([str(PurePosixPath(entry).parent) for entry in entries])
        named = {entry: str(PurePosixPath(without[entry]).relative_to(folder)) for entry in entries}
    else:
        named = {entry: PurePosixPath(without[entry]).name for entry in entries}
    alike = Counter(named[entry] for entry in entries if entry not in shards)
    for entry in entries:
        if alike[named[entry]] > 1:  # `a.pth` beside `a.npy`
            named[entry] += PurePosixPath(entry).suffix
    return named


def _name(stem: str, inner: str, *, is_alone: bool) -> str:
    if not inner:
        return _printable(stem)
    if is_alone:
        return _printable(inner)
    return _printable(stem + inner if inner.startswith(("[", ".")) else f"{stem}/{inner}")


def _printable(text: str) -> str:
    """Text that any file or terminal in UTF-8 takes: bytes of a file name that are none, written out."""
    return text.encode("utf-8", "backslashreplace").decode()


def _record(name: str, found: FoundTensor, sequence: int) -> Record:
    return Record(
        name=name,
        sequence=sequence,
        dtype=found.dtype,
        shape=found.shape,
        read=found.read,
        is_unpacked=found.is_unpacked,
    )
