"""The user's word on which tensors answer each other, and how they lie."""

__all__ = ["ROUTES"]

from starlette.routing import Route

ROUTES: tuple[Route, ...] = ()
