"""Which dims of a model's weights change together, found by watching it run."""

__all__: list[str] = []
