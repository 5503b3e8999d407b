"""How optimizers, schedulers, averages, replicas and compiled code follow a change of a model."""

__all__: list[str] = []
