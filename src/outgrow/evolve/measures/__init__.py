"""What is measured of a model before it is changed, each measure with its known error."""

__all__: list[str] = []
