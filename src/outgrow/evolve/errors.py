"""The errors that every part of the room raises."""

__all__ = ["NotExact", "SiteNotFound", "SiteRefused"]

from outgrow.errors import InputError, OutgrowError


class SiteNotFound(InputError):
    """No such site in this model, or none of this kind."""


class SiteRefused(InputError):
    """The site exists, and this change cannot be made there; nothing has changed."""


class NotExact(OutgrowError):
    """A change moved the outputs further than its promise allows; the model is as it was before."""
