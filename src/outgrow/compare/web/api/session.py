"""Beginning and ending a session."""

__all__ = ["ROUTES"]

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from outgrow import __version__
from outgrow.compare.web.api.calls import SESSION_HEADER, find_session
from outgrow.compare.web.options import Options
from outgrow.compare.web.roots import Roots
from outgrow.compare.web.sessions import Sessions
from outgrow.names import printable


def _show(request: Request) -> Response:
    sessions: Sessions = request.app.state.sessions
    options: Options = request.app.state.options
    roots: Roots = request.app.state.roots
    named = SESSION_HEADER in request.headers
    session = find_session(request) if named else sessions.begin()
    content = {
        **session.as_dict(),
        "version": __version__,
        "limits": {"max_upload_bytes": options.max_upload_bytes},
        "roots": [printable(str(folder)) for folder in roots.folders],
    }
    return JSONResponse(content)


def _leave(request: Request) -> Response:
    find_session(request).leave()
    return Response(status_code=204)


def _end(request: Request) -> Response:
    sessions: Sessions = request.app.state.sessions
    sessions.end(find_session(request))
    return Response(status_code=204)


ROUTES = (
    Route("/session", _show, methods=["GET"]),
    Route("/session/leave", _leave, methods=["POST"]),
    Route("/session", _end, methods=["DELETE"]),
)
