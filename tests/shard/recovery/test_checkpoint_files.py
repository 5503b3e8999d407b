"""The files that checkpoints lie in."""

import errno
import os

import pytest

from outgrow.errors import InputError
from outgrow.shard.recovery.checkpoint_files import CheckpointFiles


def test_too_many_workers_are_told_in_words(monkeypatch):
    def refuse(name, flags):
        raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))

    monkeypatch.setattr(os, "memfd_create", refuse)
    with pytest.raises(InputError, match="checkpoints of 100,000 ranks: Too many open files") as err:
        CheckpointFiles(100_000)
    assert "start fewer workers" in err.value.hint
