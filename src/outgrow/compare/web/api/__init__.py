"""What the page asks for, by path."""

__all__ = ["routes"]

from starlette.routing import Route

from outgrow.compare.web.api import comparison, mapping, places, rows, session, share, sides, tensors


def routes() -> list[Route]:
    """Everything below `/api`."""
    parts = (session, sides, places, comparison, rows, tensors, mapping, share)
    return [route for part in parts for route in part.ROUTES]
