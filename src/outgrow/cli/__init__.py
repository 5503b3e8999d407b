"""The command line: one file a command, loaded when it is called."""

__all__: list[str] = []
