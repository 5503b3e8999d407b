"""Every `outgrow` command line of the documentation has a command and options that there are."""

import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from outgrow.cli.main import program

ROOT = Path(__file__).parent.parent
PAGES = sorted(
    page
    for page in [
        ROOT / "README.md",
        ROOT / "CONTRIBUTING.md",
        ROOT / "bench/README.md",
        *ROOT.glob("docs/**/*.md"),
    ]
    if "_build" not in page.parts
)
_FENCED = re.compile(r"^ *```(?:console|text|bash|sh)\n(.*?)^ *```", re.MULTILINE | re.DOTALL)
_PROMPT = re.compile(r"^ *\w*\$ ")
_ASSIGNED = re.compile(r"\w+=.*")


def typed_lines(text: str) -> Iterator[str]:
    """What is typed in the console blocks of a page, one command each."""
    for block in _FENCED.findall(text):
        for line in block.replace("\\\n", " ").splitlines():
            if _PROMPT.match(line) and "$(" not in line:
                yield _PROMPT.sub("", line)


def words_of(line: str) -> Iterator[list[str]]:
    """The words after `outgrow`, of each call in a line."""
    tokens = shlex.shlex(line, posix=True, punctuation_chars="|&;<>")
    tokens.whitespace_split = True
    calls: list[list[str]] = [[]]
    for token in tokens:
        if set(token) <= set("|&;<>"):
            calls.append([])
        elif calls[-1] or not _ASSIGNED.fullmatch(token):
            calls[-1].append(token)
    yield from (call[1:] for call in calls if call[:1] == ["outgrow"])


def refusal(words: list[str]) -> str | None:
    """What the program says against these words, whatever files there are; None where it takes them."""
    if words[:1] == ["help"]:  # explains whatever follows
        return None
    command: click.Command = program
    context = click.Context(program, info_name="outgrow")
    try:
        while True:
            values, rest, _ = command.make_parser(context).parse_args(list(words))
            if {"help", "version"} & {name for name, value in values.items() if value}:
                return None
            if not isinstance(command, click.Group):
                break
            if not rest:
                return None
            name, words = rest[0], rest[1:]
            found = command.get_command(context, name)
            if found is None:
                return f"there is no command {name!r}"
            command, context = found, click.Context(found, parent=context, info_name=name)
    except click.UsageError as err:
        return err.format_message()
    given = {name for name, value in values.items() if value not in (None, ())}
    missing = [one.name for one in command.params if one.required and one.name not in given]
    return f"{', '.join(map(str, missing))} missing" if missing else None


WITH_CALLS = [page for page in PAGES if "outgrow " in page.read_text()]


@pytest.mark.parametrize("page", WITH_CALLS, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_the_command_lines_on_the_page_can_be_parsed(page):
    lines = [(line, words) for line in typed_lines(page.read_text()) for words in words_of(line)]
    refused = [(line, refusal(words)) for line, words in lines]
    assert [one for one in refused if one[1] is not None] == []


@pytest.mark.parametrize("page", WITH_CALLS, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_what_the_text_names_is_a_command_with_these_options(page):
    """`outgrow compare --map` in a sentence is no whole call; only what is there has to exist."""
    named = re.findall(r"`(outgrow [a-z][^`\n$]*)`", page.read_text())
    refused = [(one, refusal(words)) for one in named for words in words_of(one)]
    wrong = [one for one in refused if one[1] and not re.search("missing$|requires an arg", one[1])]
    assert wrong == []


def test_there_are_command_lines_on_every_kind_of_page():
    typed = {
        page.parent.name for page in PAGES for line in typed_lines(page.read_text()) if list(words_of(line))
    }
    assert typed >= {ROOT.name, "tutorials", "how-to"}


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("outgrow compare a b --html page.html", None),
        ("A=1 outgrow store verify model", None),
        ("outgrow --quiet doctor --json", None),
        ("outgrow compare a b --htm page.html", "No such option"),
        ("outgrow compare a b --html", "requires an argument"),
        ("outgrow stores verify model", "no command 'stores'"),
        ("outgrow plan model", "budget missing"),
    ],
)
def test_a_wrong_command_line_is_seen(line, says):
    ((words),) = words_of(line)
    found = refusal(words)
    assert found is None if says is None else says in found


def test_what_the_doctor_says_on_the_page_is_what_it_says():
    """The headings and the rooms, not the figures, which are one machine's."""
    page = (ROOT / "docs" / "tutorials" / "know-your-machine.md").read_text()
    (shown,) = (block for block in _FENCED.findall(page) if block.startswith("$ outgrow doctor"))
    sources = "".join(file.read_text() for file in (ROOT / "src" / "outgrow" / "cli").glob("doctor*.py"))
    headings = [line for line in shown.splitlines()[1:] if line and "  " not in line and line != "..."]
    assert len(headings) == 4
    assert [line for line in headings if f'"{line}"' not in sources] == []
    rows = re.findall(r"^(?:\w+)? +((?:\S+ )*\S+) +(?:yes|no|reduced)  ", shown, re.MULTILINE)
    assert len(rows) > 6
    assert [row for row in rows if f'"{row}"' not in sources] == []
