"""Loading what a comparison needs, torch first of all, once the page is served."""

__all__ = ["load"]

import threading

_one_at_a_time = threading.Lock()


def load() -> None:
    """Import the readers, the judge and the views; whoever imports one of them in a thread calls this first.

    Two threads that import parts of one package at once may get half a module from Python, or a KeyError
    (github.com/python/cpython/issues/83065), so only one of them does.
    """
    with _one_at_a_time:
        import outgrow.compare.report
        import outgrow.compare.view
        import outgrow.compare.view.detail
        import outgrow.compare.view.kept_sides
        import outgrow.compare.view.looking
        import outgrow.compare.view.mapping
        import outgrow.compare.view.rows
        import outgrow.compare.view.statistics
        import outgrow.compare.view.verdict
        import outgrow.compare.web.opening
        import outgrow.compare.web.places  # noqa: F401 - kept by the interpreter
