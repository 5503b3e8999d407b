"""Who may call: this machine, this page, with the token; and what every answer forbids the browser."""

__all__ = ["Access", "Token", "guard"]

import secrets

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from outgrow.compare.web.refusal import error_response

_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data: blob:; "
    "connect-src 'self'; font-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
_HEADERS = {
    "Content-Security-Policy": _POLICY,
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
}
_HINT = "open the URL that `outgrow web` printed"


class Access:
    """Middleware around everything: checks Host and Origin before any other code sees the request, and puts
    its headers on every answer."""

    def __init__(self, app: ASGIApp, *, port: int) -> None:
        self._app = app
        names = ("127.0.0.1", "localhost")
        self._hosts = {f"{name}:{port}" for name in names}
        if port == 80:
            self._hosts.update(names)  # browsers leave it out
        self._origins = {f"http://{host}" for host in self._hosts}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """As ASGI wants it."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        async def send_guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                guard(MutableHeaders(scope=message))
            await send(message)

        headers = Headers(scope=scope)
        app = self._app
        if headers.get("host", "").lower() not in self._hosts:
            app = error_response(403, "host", "this server answers only under its own address", _HINT)
        elif headers.get("origin") is not None and headers["origin"] not in self._origins:
            app = error_response(403, "origin", "another page may not call this server", _HINT)
        await app(scope, receive, send_guarded)


def guard(headers: MutableHeaders) -> None:
    """Put on an answer what it forbids the browser."""
    for name, value in _HEADERS.items():
        headers[name] = value
    headers.setdefault("Cache-Control", "no-store")


class Token:
    """Middleware around all calls of the API, and around nothing else: there is no way past it."""

    def __init__(self, app: ASGIApp, *, token: str) -> None:
        self._app = app
        self._token = token.encode()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """As ASGI wants it."""
        kind, _, given = Headers(scope=scope).get("authorization", "").partition(" ")
        # In a time that says nothing of how much of it is right.
        is_right = secrets.compare_digest(given.strip().encode(), self._token)
        if kind.lower() == "bearer" and is_right:
            await self._app(scope, receive, send)
            return
        refusal = error_response(401, "token", "the token is missing or wrong", _HINT)
        refusal.headers["WWW-Authenticate"] = "Bearer"
        await refusal(scope, receive, send)
