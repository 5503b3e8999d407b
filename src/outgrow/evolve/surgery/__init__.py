"""The one place that changes models, and the arithmetic of every change of width."""

__all__: list[str] = []
