"""Watching models, and what was seen: calls of modules, recordings of runs."""

__all__ = ["Call", "Record", "Recording", "Refusal", "watch"]

from outgrow.capture.recording import Record, Recording, Refusal
from outgrow.capture.watch import Call, watch
