"""Tensors on disk: opened by headers alone, read in place, written atomically."""

__all__ = [
    "Checkpoint",
    "FileIdentity",
    "Reader",
    "StoreChanged",
    "StoreCorrupt",
    "TensorMeta",
    "check_unchanged",
    "make_reader",
    "open_checkpoint",
    "read_header",
    "write_safetensors",
]

from outgrow.store.checkpoint import Checkpoint, FileIdentity, StoreChanged, check_unchanged, open_checkpoint
from outgrow.store.header import StoreCorrupt, TensorMeta, read_header
from outgrow.store.readers import Reader, make_reader
from outgrow.store.writer import write_safetensors
