"""What happens when a rank dies, stops or fails alone: checkpoints, the log, and running it again."""

__all__: list[str] = []
