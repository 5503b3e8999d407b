"""The error of whatever cannot follow a change."""

__all__ = ["CannotFollow"]

from outgrow.errors import InputError


class CannotFollow(InputError):
    """An optimizer, a scheduler, an average or a wrapper cannot follow a change; nothing has changed."""
