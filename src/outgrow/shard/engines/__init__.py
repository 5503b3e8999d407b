"""How ranks come to be: processes of this machine, those of torchrun, lanes of one process."""

__all__: list[str] = []
