"""Any text as text in HTML."""

__all__ = ["html_text"]

from html import escape


def html_text(value: object) -> str:
    """Escaped. Lone surrogates, which file names can hold and no page, and control characters, which have no
    place in HTML, are written out."""
    return escape(
        "".join(
            letter
            if letter.isprintable() or letter == "\n"
            else letter.encode("unicode_escape", "backslashreplace").decode()
            for letter in str(value)
        )
    )
