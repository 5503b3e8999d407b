"""HTML and SVG as text: escaped words, and the page, colours and letters that all pictures share. Pure."""

__all__ = ["crop_end", "crop_start", "escaped", "svg_page", "svg_rect", "svg_text"]

from collections.abc import Iterable
from html import escape

from outgrow.names import printable

_STYLE = """\
  .page { fill: #ffffff; } .ink { fill: #1c2430; } .soft { fill: #5b6675; }
  text { font-family: system-ui, "Segoe UI", Roboto, "DejaVu Sans", sans-serif; font-size: 13px; }
  .title { font-size: 20px; font-weight: 600; } .head { font-size: 14px; font-weight: 600; }
  .small { font-size: 11px; } .middle { text-anchor: middle; } .end { text-anchor: end; }
"""
_DARK = "    .page { fill: #12161c; } .ink { fill: #e8edf3; } .soft { fill: #a0acb9; }\n"


def escaped(value: object) -> str:
    """Any value as text in HTML or XML. Lone surrogates, which file names can hold and no page, and control
    characters, which have no place in either, are written out."""
    return escape(printable(str(value), keep="\n"))


def svg_page(
    parts: Iterable[str], *, width: int, height: float, title: str, description: str = "",
    style: str = "", dark: str = "",
) -> str:  # fmt: skip
    """An SVG file, readable on light and on dark ground.

    Args:
        parts: the elements, as text.
        width: in pixels, as is `height`.
        height: in pixels.
        title: what a screen reader says of it, and what shows when it is pointed at.
        description: the same as sentences.
        style: rules besides those of `page`, `ink`, `soft` (colours), `title`, `head`, `small` (letters),
            `middle` and `end` (anchors).
        dark: which colours of `style` are others on dark ground.
    """
    size = f'viewBox="0 0 {width} {height:g}" width="{width}" height="{height:g}"'
    named = "title description" if description else "title"
    return "\n".join([
        f'<svg xmlns="http://www.w3.org/2000/svg" {size} role="img" aria-labelledby="{named}">',
        f'<title id="title">{escaped(title)}</title>',
        *([f'<desc id="description">{escaped(description)}</desc>'] if description else []),
        f"<style>\n{_STYLE}{style}  @media (prefers-color-scheme: dark) {{\n{_DARK}{dark}  }}\n</style>",
        f'<rect class="page" width="{width}" height="{height:g}"/>',
        *parts,
        "</svg>\n",
    ])  # fmt: skip


def svg_text(x: float, y: float, words: str, style: str) -> str:
    """A line of text, `y` its baseline; `style` are classes of the page."""
    return f'<text class="{style}" x="{x:.1f}" y="{y:.1f}">{escaped(words)}</text>'


def svg_rect(x: float, y: float, width: float, height: float, style: str) -> str:
    """A filled rectangle; `style` is a class of the page."""
    return f'<rect class="{style}" x="{x:.2f}" y="{y:g}" width="{max(width, 0.05):.2f}" height="{height:g}"/>'


def crop_end(text: str, most: int) -> str:
    """At most so many characters of it, the first ones."""
    return text if len(text) <= most else f"{text[: most - 1]}…"


def crop_start(text: str, most: int) -> str:
    """At most so many characters of it, the last ones: the end of a qualified name tells more."""
    return text if len(text) <= most else f"…{text[len(text) - most + 1 :]}"
