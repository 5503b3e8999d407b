"""The routes of the server."""

__all__ = ["make_app"]

import asyncio
import contextlib
import traceback
from collections.abc import AsyncIterator
from weakref import WeakKeyDictionary

from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Mount, Route

from outgrow.compare.web.access import Access, Token, guard
from outgrow.compare.web.api import routes
from outgrow.compare.web.options import Options
from outgrow.compare.web.page import PageFiles
from outgrow.compare.web.refusal import ApiError, error_response
from outgrow.compare.web.roots import Roots
from outgrow.compare.web.sessions import Sessions
from outgrow.compare.web.turns import Turns
from outgrow.errors import InputError, OutgrowError

_SWEEP_SECONDS = 60.0


def make_app(options: Options, *, token: str, port: int) -> Starlette:
    """The whole application; its lifespan closes every session at the end.

    Raises:
        InputError: a root is no folder.
        StoreError: the built page is not there.
    """
    page = PageFiles(options.static)
    roots = Roots(options.roots)
    sessions = Sessions(options, roots)

    @contextlib.asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        sessions.start()
        sweeping = asyncio.create_task(_sweep(sessions))
        try:
            yield
        finally:
            sweeping.cancel()
            sessions.close()

    app = Starlette(
        routes=[
            Mount("/api", routes=routes(), middleware=[Middleware(Token, token=token)]),
            Route("/{path:path}", page.answer),
        ],
        middleware=[Middleware(Access, port=port)],
        exception_handlers={OutgrowError: _refused, HTTPException: _unknown, Exception: _fault},
        lifespan=lifespan,
    )
    app.state.sessions = sessions
    app.state.options = options
    app.state.roots = roots
    app.state.turns = Turns()
    app.state.kept = WeakKeyDictionary()
    return app


async def _sweep(sessions: Sessions) -> None:
    while True:
        await asyncio.sleep(_SWEEP_SECONDS)
        await run_in_threadpool(sessions.sweep)


async def _refused(_: Request, err: Exception) -> Response:
    assert isinstance(err, OutgrowError)
    if isinstance(err, ApiError):
        return error_response(err.status, err.code, err.message, err.hint)
    status, code = (400, "input") if isinstance(err, InputError) else (422, "store")
    return error_response(status, code, err.message, err.hint)


async def _unknown(_: Request, err: Exception) -> Response:
    assert isinstance(err, HTTPException)
    answer = error_response(err.status_code, "call", f"there is no such call: {err.detail}")
    answer.headers.update(err.headers or {})
    return answer


async def _fault(_: Request, err: Exception) -> Response:
    traceback.print_exception(err)
    answer = error_response(500, "fault", f"a fault in outgrow: {type(err).__name__}")
    guard(answer.headers)  # starlette answers faults outside of all middleware
    return answer
