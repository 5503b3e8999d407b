"""The two runs in a browser: a local server, its API and the page that it serves."""

__all__ = ["Options", "Server", "open_server"]

from outgrow.compare.web.options import Options
from outgrow.compare.web.server import Server, open_server
