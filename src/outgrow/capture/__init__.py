"""Watching models: calls of modules."""

__all__ = ["Call", "watch"]

from outgrow.capture.watch import Call, watch
