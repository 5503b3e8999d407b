"""Watching models, and what was seen: calls of modules, recordings of runs."""

__all__ = [
    "Call",
    "Record",
    "Recorder",
    "Recording",
    "Refusal",
    "is_recording",
    "open_own",
    "record",
    "watch",
]

from outgrow.capture.record import record
from outgrow.capture.recorded import open_own
from outgrow.capture.recorder import Recorder
from outgrow.capture.recording import Record, Recording, Refusal
from outgrow.capture.recording_folder import is_recording
from outgrow.capture.watch import Call, watch
