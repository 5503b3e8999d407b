"""Foreign checkpoint formats that can be converted, by name."""

__all__ = ["SOURCES", "Source", "SourceFormat"]

from collections.abc import Mapping

from outgrow.store.sources.gguf_files import GgufFiles
from outgrow.store.sources.source import Source, SourceFormat
from outgrow.store.sources.torch_files import TorchFiles

SOURCES: Mapping[str, SourceFormat] = {"gguf": GgufFiles(), "torch": TorchFiles()}
"""Every foreign format by name; asked in this order."""
