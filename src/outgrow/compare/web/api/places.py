"""Files of this machine that the page may open."""

__all__ = ["ROUTES"]

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from outgrow.compare.web.api.calls import find_session
from outgrow.compare.web.loading import load
from outgrow.compare.web.roots import Roots


def _places(request: Request) -> Response:
    load()
    from outgrow.compare.web.places import found_below, listing

    find_session(request)
    roots: Roots = request.app.state.roots
    path = request.query_params.get("path")
    return JSONResponse(found_below(roots) if path is None else listing(roots, path))


ROUTES = (Route("/places", _places, methods=["GET"]),)
