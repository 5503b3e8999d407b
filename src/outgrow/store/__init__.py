"""Tensors on disk: opened by headers alone, read in place, written atomically."""

__all__ = [
    "Checkpoint",
    "FileIdentity",
    "Reader",
    "StoreChanged",
    "StoreCorrupt",
    "TensorMeta",
    "check_unchanged",
    "lock_directory",
    "make_reader",
    "open_checkpoint",
    "read_header",
    "record_digests",
    "verify",
    "write_safetensors",
]

from outgrow.store.checkpoint import Checkpoint, FileIdentity, StoreChanged, check_unchanged, open_checkpoint
from outgrow.store.header import StoreCorrupt, TensorMeta, read_header
from outgrow.store.integrity import record_digests, verify
from outgrow.store.lock import lock_directory
from outgrow.store.readers import Reader, make_reader
from outgrow.store.writer import write_safetensors
