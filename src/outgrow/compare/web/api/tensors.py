"""Numbers of one row: values, tiles, histograms, search."""

__all__ = ["ROUTES"]

from starlette.routing import Route

ROUTES: tuple[Route, ...] = ()
