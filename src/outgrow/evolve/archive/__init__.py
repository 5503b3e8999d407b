"""Archives: a model that evolved, in one file, to be opened without its class."""

__all__ = ["ArchiveCorrupt", "ArchivedModel", "GraphUnreadable", "NotSaved", "load", "replay", "save"]

from outgrow.evolve.archive.archive_file import ArchiveCorrupt
from outgrow.evolve.archive.archived_model import ArchivedModel
from outgrow.evolve.archive.edits import replay
from outgrow.evolve.archive.loading import load
from outgrow.evolve.archive.program import GraphUnreadable
from outgrow.evolve.archive.saving import save
from outgrow.evolve.archive.structure import NotSaved
