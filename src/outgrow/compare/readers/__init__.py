"""Readers: files, archives and folders of any common kind, lazily and safely, as one `Recording`."""

__all__ = ["open_recording"]

from outgrow.compare.readers.opening import open_recording
