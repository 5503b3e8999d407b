"""docs/architecture.md is true: its floors, places, rooms and owners of imports are those of the code."""

import ast
import re
import sys
import tomllib
from collections import defaultdict
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
SOURCES = ROOT / "src" / "outgrow"
FILES = sorted(SOURCES.rglob("*.py"))
PAGE = (ROOT / "docs" / "architecture.md").read_text()
CONTRACTS = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"]
# What every module above floor 0 may import, and what the page therefore gives no owner.
EVERYWHERE = {"torch", "numpy"}


def top_level() -> set[str]:
    """Every module and package directly below `outgrow`."""
    found = {file.stem for file in SOURCES.glob("*.py")} | {
        folder.name for folder in SOURCES.iterdir() if (folder / "__init__.py").exists()
    }
    return found - {"__init__", "__main__"}


def drawn_floors() -> dict[int, list[str]]:
    """What the drawing at the top shows on each floor."""
    rows = re.findall(r"^ floor (\d)  (?:\w+) +(.+)$", PAGE, re.MULTILINE)
    shown = {int(number): re.split(r" {3,}(?=\w+ \w+ )", text)[0] for number, text in rows}
    return {number: re.findall(r"\w+", text) for number, text in shown.items()}


def table(heading: str) -> list[list[str]]:
    """The cells of the first table below a heading."""
    below = PAGE.split(f"\n{heading}\n", 1)[1]
    rows = re.search(r"(?:^\|.*\n)+", below, re.MULTILINE)[0].splitlines()[2:]
    return [[cell.strip() for cell in row.strip().strip("|").split("|")] for row in rows]


@cache
def tree_of(file: Path) -> ast.Module:
    return ast.parse(file.read_text())


def called(node: ast.Call) -> str:
    """The last part of the name of what is called."""
    return getattr(node.func, "attr", getattr(node.func, "id", ""))


def imported(file: Path) -> set[str]:
    """Modules that a file imports, also those that it names to `import_module`."""
    found = set()
    for node in ast.walk(tree_of(file)):
        if isinstance(node, ast.Import):
            found.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            found.add(node.module)
        elif isinstance(node, ast.Call) and called(node) in {"import_module", "_import"}:
            found.update(one.value for one in node.args if isinstance(one, ast.Constant))
    return found


def places_of_imports() -> dict[str, set[str]]:
    """For each package that is neither ours nor Python's: the files that import it."""
    found = defaultdict(set)
    for file in FILES:
        for module in imported(file):
            package = "torch.distributed" if module.startswith("torch.distributed") else module.split(".")[0]
            if package not in {"outgrow", *sys.stdlib_module_names, *EVERYWHERE}:
                found[package].add(file.relative_to(SOURCES).as_posix())
    return found


def test_the_floors_that_are_drawn_are_those_of_the_import_contract():
    (layers,) = (one["layers"] for one in CONTRACTS if one["type"] == "layers")
    enforced = [set(re.findall(r"\w+", layer)) for layer in reversed(layers)]
    drawn = drawn_floors()
    assert [set(drawn[number]) for number in sorted(drawn)] == enforced
    assert all(len(set(names)) == len(names) for names in drawn.values())


def test_everything_stands_on_one_floor():
    names = [name for floor in drawn_floors().values() for name in floor]
    assert sorted(names) == sorted(top_level())


def test_floor_0_is_kept_to_the_standard_library():
    (sources,) = (
        one["source_modules"]
        for one in CONTRACTS
        if one["name"] == "Floor 0 needs the standard library alone"
    )
    assert {name.removeprefix("outgrow.") for name in sources} == set(drawn_floors()[0])


def test_every_place_has_one_row():
    places = [cells[0] for cells in table("## What is where")]
    within = [
        re.fullmatch(r"`([\w.]+)/?`", place)[1].removesuffix(".py") for place in places if "src" not in place
    ]
    assert sorted(within) == sorted(top_level())
    for place in places:
        if "beside `src`" in place:
            assert (ROOT / re.match(r"`(\w+)/`", place)[1]).is_dir(), place


def test_nothing_is_called_planned():
    assert not re.search(r"\*planned\*|\| planned \|", PAGE)


@pytest.mark.parametrize("package", sorted(top_level() - {file.stem for file in SOURCES.glob("*.py")}))
def test_every_package_is_shown_from_inside(package):
    assert PAGE.count(f"### `{package}`\n\n```{{file-table}} {package}\n```") == 1


def test_every_heavy_import_has_the_owners_that_the_page_names():
    owners = {re.fullmatch(r"`([\w.]+)`", cells[0])[1]: cells[1] for cells in table("## Who imports what")}
    found = places_of_imports()
    assert set(owners) == set(found)
    for package, text in owners.items():
        places = re.findall(r"`([\w./]+)`", text)
        for file in found[package]:
            assert any(file.startswith(place) for place in places), f"{file} imports {package}"
        for place in places:
            assert any(file.startswith(place) for file in found[package]), f"{place} imports no {package}"


@pytest.mark.parametrize(
    ("room", "first", "last"), [("shard", "client/", "planner/"), ("evolve", "coupling/", "run/")]
)
def test_what_a_drawing_of_a_room_names_is_there(room, first, last):
    (drawing,) = (
        block
        for block in re.split(r"^```.*$", PAGE, flags=re.MULTILINE)[1::2]
        if first in block and last in block
    )
    named = set(re.findall(r"(?<![\w/])([a-z_]+)/(?!\w)", drawing))
    assert named
    assert [name for name in sorted(named) if not (SOURCES / room / name / "__init__.py").exists()] == []


def test_files_that_the_text_names_exist():
    named = set(re.findall(r"`((?:\w+/)*\w+\.(?:py|md|toml))`", PAGE))
    known = [*FILES, *ROOT.glob("*.toml"), *(ROOT / "tests").glob("*.py"), *(ROOT / "examples").glob("*.py")]
    known += (ROOT / "bench").glob("*.py")
    assert [name for name in sorted(named) if not any(f"{one}".endswith(f"/{name}") for one in known)] == []


def test_other_floors_import_public_names_only():
    """What a module takes from another floor or package is in the `__all__` of where it takes it."""
    public = {}
    for file in FILES:
        parts = ["outgrow", *file.relative_to(SOURCES).with_suffix("").parts]
        name = ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
        for node in tree_of(file).body:
            if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "__all__":
                public[name] = set(ast.literal_eval(node.value))
    wrong = []
    for file in FILES:
        own = file.relative_to(SOURCES).parts[0]
        for node in ast.walk(tree_of(file)):
            module = node.module or "" if isinstance(node, ast.ImportFrom) else ""
            if not module.startswith("outgrow.") or module.split(".")[1] == own:
                continue
            known = public.get(module, set())
            names = [alias.name for alias in node.names if f"{module}.{alias.name}" not in public]
            wrong += [f"{file.relative_to(SOURCES)}: {module}.{name}" for name in names if name not in known]
    assert wrong == []
