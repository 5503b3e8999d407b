"""The modules that changes put into models."""

__all__: list[str] = []
