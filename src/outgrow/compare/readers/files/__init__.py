"""Files of tensors: one reader for each kind, by suffix."""

__all__ = ["READERS"]

from collections.abc import Mapping

from outgrow.compare.readers.file_reader import FileReader
from outgrow.compare.readers.files.numpy_files import NumpyArchives, NumpyFiles
from outgrow.compare.readers.files.safetensors_files import SafetensorsFiles
from outgrow.compare.readers.files.torch_files import TorchFiles

READERS: Mapping[str, FileReader] = {
    ".pth": TorchFiles(),
    ".pt": TorchFiles(),
    ".bin": TorchFiles(),
    ".npy": NumpyFiles(),
    ".npz": NumpyArchives(),
    ".safetensors": SafetensorsFiles(),
}
"""The reader of each suffix, in lower case."""
