"""Readers: files, archives and folders of any common kind, lazily and safely, as one `Recording`."""

__all__ = ["READERS", "FileContent", "FileReader", "FoundTensor", "Limits", "open_recording"]

from outgrow.compare.readers.file_reader import FileContent, FileReader, FoundTensor
from outgrow.compare.readers.files import READERS
from outgrow.compare.readers.limits import Limits
from outgrow.compare.readers.opening import open_recording
