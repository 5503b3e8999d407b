"""The errors that every part of the room raises."""

__all__ = ["CannotCheck", "CannotUndo", "EditUnreadable", "NotExact", "SiteNotFound", "SiteRefused"]

from outgrow.errors import InputError, OutgrowError


class SiteNotFound(InputError):
    """No such site in this model, or none of this kind."""


class SiteRefused(InputError):
    """The site exists, and this change cannot be made there; nothing has changed."""


class NotExact(OutgrowError):
    """A change moved the outputs further than its promise allows; the model is as it was before."""


class CannotCheck(InputError):
    """What the model gives for the example inputs cannot be compared; nothing has changed."""


class CannotUndo(InputError):
    """The model is not as an edit left it, or the edit does not hold what it takes; nothing has changed."""


class EditUnreadable(InputError):
    """What should be an edit in JSON is damaged, or was written by a newer version."""
