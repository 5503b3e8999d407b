"""Segments that come again: planned, compiled, checked against eager runs, replayed."""

__all__: list[str] = []
