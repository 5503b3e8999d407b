"""Every `python` and `pycon` block of the documentation and the README runs."""

import doctest
import re
import textwrap
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PAGES = sorted(
    page
    for page in [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *(ROOT / "docs").rglob("*.md")]
    if "_build" not in page.parts
)
_BLOCK = re.compile(
    r"^(?P<indent> *)(?:"
    r"<!-- setup:\n(?P<setup>.*?)\n *-->"
    r"|(?:<!-- not run: (?P<reason>[^\n]+) -->\n+ *)?```(?P<language>python|pycon)\n(?P<code>.*?)\n *```"
    r")",
    re.MULTILINE | re.DOTALL,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Block:
    language: str
    code: str
    line: int
    is_run: bool = True


def blocks_of(text: str) -> list[Block]:
    found = []
    for match in _BLOCK.finditer(text):
        line = text.count("\n", 0, match.start()) + 1
        if match["setup"] is not None:
            found.append(Block(language="python", code=match["setup"], line=line))
            continue
        line += match[0].count("\n", 0, match[0].index("```"))
        found.append(
            Block(
                language=match["language"],
                code=textwrap.dedent(match["code"]),
                line=line,
                is_run=not match["reason"],
            )
        )
    return found


WITH_CODE = [page for page in PAGES if blocks_of(page.read_text())]


def run_page(page: Path, blocks: list[Block]) -> None:
    """Run the blocks in one namespace; a failure shows the page's own line."""
    names: dict[str, object] = {"__name__": "__page__"}
    for block in blocks:
        if block.language == "python":
            # Blank lines in front, so that tracebacks name the line of the page.
            code = compile("\n" * block.line + block.code, str(page), "exec")
            if block.is_run:
                exec(code, names)
        elif block.is_run:
            test = doctest.DocTestParser().get_doctest(
                block.code + "\n", names, page.name, str(page), block.line
            )
            report: list[str] = []
            doctest.DocTestRunner(optionflags=doctest.ELLIPSIS).run(
                test, out=report.append, clear_globs=False
            )
            assert not report, "".join(report)
            names.update(test.globs)


@pytest.mark.parametrize("page", WITH_CODE, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_the_code_on_the_page_runs(page, tmp_path, monkeypatch):
    blocks = blocks_of(page.read_text())
    monkeypatch.chdir(tmp_path)
    run_page(page, blocks)


def test_blocks_are_found_with_their_lines():
    text = (
        "a\n\n```python\nx = 1\n```\n\n<!-- setup:\ny = 2\n-->\n\n- item\n\n  ```pycon\n  >>> x\n  1\n  ```\n"
    )
    text += "\n<!-- not run: needs a GPU -->\n```python\nz\n```\n\n```console\n$ ls\n```\n"
    assert blocks_of(text) == [
        Block(language="python", code="x = 1", line=3),
        Block(language="python", code="y = 2", line=7),
        Block(language="pycon", code=">>> x\n1", line=13),
        Block(language="python", code="z", line=19, is_run=False),
    ]


@pytest.mark.parametrize(
    ("block", "error"),
    [
        (Block(language="python", code="x = 1\nassert x == 2", line=3), AssertionError),
        (Block(language="pycon", code=">>> 1 + 1\n3", line=3), AssertionError),
        (Block(language="python", code="x = = 1", line=3, is_run=False), SyntaxError),
    ],
    ids=["python", "pycon", "syntax of what is not run"],
)
def test_a_block_that_is_wrong_fails(block, error, tmp_path):
    with pytest.raises(error):
        run_page(tmp_path / "page.md", [block])


def test_blocks_of_a_page_share_names(tmp_path):
    first = Block(language="python", code="x = 1", line=1)
    second = Block(language="pycon", code=">>> x += 1\n>>> x\n2", line=5)
    third = Block(language="python", code="assert x == 2", line=9)
    run_page(tmp_path / "page.md", [first, second, third])
