"""Where a model can change: sites, how they are found, and how they are seen to work."""

__all__: list[str] = []
