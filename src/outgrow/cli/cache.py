"""Where outgrow keeps what it made and can make again; `outgrow.cache` says more."""

__all__ = ["cache_directory"]

from outgrow.cache import cache_directory
