"""What a rank holds and how it runs what it is told."""

__all__: list[str] = []
