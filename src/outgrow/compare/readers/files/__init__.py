"""Files of tensors: one reader for each kind, by suffix."""

__all__ = ["READERS"]

from collections.abc import Mapping

from outgrow.compare.readers.file_reader import FileReader
from outgrow.compare.readers.files.safetensors_files import SafetensorsFiles

READERS: Mapping[str, FileReader] = {
    ".safetensors": SafetensorsFiles(),
}
"""The reader of each suffix, in lower case."""
