"""The routes of the server."""

__all__ = ["make_app"]

import contextlib
import traceback
from collections.abc import AsyncIterator

from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Mount, Route

from outgrow.compare.web.access import Access
from outgrow.compare.web.api import routes
from outgrow.compare.web.options import Options
from outgrow.compare.web.page import PageFiles
from outgrow.compare.web.refusal import ApiError, error_response
from outgrow.compare.web.sessions import Sessions
from outgrow.errors import InputError, OutgrowError


def make_app(options: Options, *, token: str, port: int) -> Starlette:
    """The whole application; its lifespan closes every session at the end.

    Raises:
        StoreError: the built page is not there.
    """
    page = PageFiles(options.static)
    sessions = Sessions(options)

    @contextlib.asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        try:
            yield
        finally:
            sessions.close()

    app = Starlette(
        routes=[Mount("/api", routes=routes()), Route("/{path:path}", page.answer)],
        middleware=[Middleware(Access, token=token, port=port)],
        exception_handlers={OutgrowError: _refused, Exception: _fault},
        lifespan=lifespan,
    )
    app.state.sessions = sessions
    app.state.options = options
    return app


async def _refused(_: Request, err: Exception) -> Response:
    assert isinstance(err, OutgrowError)
    if isinstance(err, ApiError):
        return error_response(err.status, err.code, err.message, err.hint)
    status, code = (400, "input") if isinstance(err, InputError) else (422, "store")
    return error_response(status, code, err.message, err.hint)


async def _fault(_: Request, err: Exception) -> Response:
    traceback.print_exception(err)
    return error_response(500, "fault", f"a fault in outgrow: {type(err).__name__}")
