"""Between clients and ranks: one order for what all clients send."""

__all__: list[str] = []
