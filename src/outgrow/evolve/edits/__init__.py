"""What was changed: promises, edits, their inverses, and doing them again."""

__all__: list[str] = []
