"""The four kinds of documentation are whole: every page is listed, every room and every name is there."""

import importlib
import re
from pathlib import Path

import pytest

DOCS = Path(__file__).parent.parent / "docs"
ROOMS = ("stream", "shard", "evolve", "compare")
KINDS = ("tutorials", "how-to", "reference", "explanation")
PACKAGES = ("capture", "devices", "difference", "store", *ROOMS)
REFERENCE = "\n".join(page.read_text() for page in (DOCS / "reference").glob("*.md"))


def listed(kind: str) -> dict[str, list[tuple[str, str, str]]]:
    """Of an index: for each heading the file, title and purpose of its pages."""
    _, *sections = re.split(r"^## ", (DOCS / kind / "index.md").read_text(), flags=re.MULTILINE)
    return {
        section.partition("\n")[0]: [
            (file, title, purpose)
            for title, file, purpose in re.findall(
                r"^- \[(.+)\]\(([\w-]+)\.md\): (.+)\.$", section, re.MULTILINE
            )
        ]
        for section in sections
    }


def pages(kind: str) -> set[str]:
    return {page.stem for page in (DOCS / kind).glob("*.md")} - {"index"}


@pytest.mark.parametrize("kind", KINDS)
def test_every_page_is_listed_once_by_its_title_and_with_what_it_is_for(kind):
    entries = [entry for section in listed(kind).values() for entry in section]
    assert sorted(file for file, _, _ in entries) == sorted(pages(kind))
    for file, title, purpose in entries:
        assert f"# {title}\n" in (DOCS / kind / f"{file}.md").read_text()
        assert len(purpose) > 15
    tree = re.search(
        r"```\{toctree\}\n:hidden:\n(.*?)\n```", (DOCS / kind / "index.md").read_text(), re.DOTALL
    )
    assert tree[1].split() == [file for file, _, _ in entries]


@pytest.mark.parametrize("kind", KINDS)
def test_every_room_has_a_page_of_this_kind(kind):
    sections = listed(kind)
    assert list(sections) == ["Any room", *ROOMS]
    assert all(sections.values())


def test_the_front_page_leads_to_every_room_in_every_kind():
    front = (DOCS / "index.md").read_text()
    for room in ROOMS:
        (row,) = re.findall(rf"^\| \*\*{room}\*\* \|.*$", front, re.MULTILINE)
        linked = re.findall(r"\(([\w/-]+)\.md\)", row)
        assert [name.partition("/")[0] for name in linked] == list(KINDS)
        for kind, name in zip(KINDS, linked, strict=True):
            assert name.partition("/")[2] in {file for file, _, _ in listed(kind)[room]}


@pytest.mark.parametrize("package", PACKAGES)
def test_every_public_name_is_in_the_reference(package):
    """As code in the text, or shown by autodoc with the module that defines it."""
    module = importlib.import_module(f"outgrow.{package}")
    shown = set(re.findall(r"automodule:: ([\w.]+)\n +:members:", REFERENCE))
    if module.__name__ in shown:
        return
    missing = [
        name
        for name in module.__all__
        if getattr(getattr(module, name), "__module__", None) not in shown
        and not re.search(rf"`[^`\n]*\b{re.escape(name)}\b[^`\n]*`", REFERENCE)
    ]
    assert missing == []


def test_every_module_of_floor_0_is_in_the_reference():
    words = (DOCS / "reference" / "words.md").read_text()
    modules = {file.stem for file in (DOCS.parent / "src" / "outgrow").glob("*.py")} - {
        "__init__",
        "__main__",
    }
    assert {name for name in modules if f"automodule:: outgrow.{name}\n" not in words} == set()


@pytest.mark.parametrize(
    "page", sorted(DOCS.rglob("*.md")), ids=lambda page: page.relative_to(DOCS).as_posix()
)
def test_nothing_that_is_here_is_called_missing(page):
    text = page.read_text()
    assert not re.search(r"\b(coming soon|rooms? that (is|are) planned|\*planned\*)", text)
