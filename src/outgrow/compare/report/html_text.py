"""Any text as text in HTML."""

__all__ = ["html_text"]

from html import escape

from outgrow.names import printable


def html_text(value: object) -> str:
    """Escaped. Lone surrogates, which file names can hold and no page, and control characters, which have no
    place in HTML, are written out."""
    return escape(printable(str(value), keep="\n"))
