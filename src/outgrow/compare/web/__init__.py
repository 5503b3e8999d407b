"""The two runs in a browser: a local server, its API and the page that it serves."""

__all__ = ["Options", "Server", "open_server"]

from outgrow.compare.web.options import Options

try:
    from outgrow.compare.web.server import Server, open_server
except ModuleNotFoundError as err:
    if err.name is None or err.name.partition(".")[0] == "outgrow":
        raise
    raise ModuleNotFoundError(
        f"the page needs {err.name}, which is not installed: pip install 'outgrow[web]'", name=err.name
    ) from err
