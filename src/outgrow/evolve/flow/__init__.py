"""What flows through a model: its ops, its modules' calls, and where layers can be inserted in it."""

__all__: list[str] = []
