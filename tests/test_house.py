"""The house rules of docs/architecture.md and docs/conventions.md that a machine can check."""

import ast
import importlib
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
SOURCES = ROOT / "src" / "outgrow"
FILES = sorted(SOURCES.rglob("*.py"))
# Of whatever is written in Python: tests and measurements are parted as the package is.
MAX_LINES = 400

# One owner for each heavy import, as prefixes below src/outgrow.
OWNERS = {
    "click": ("cli/",),
    "rich": ("cli/render.py", "cli/live_line.py"),
    "starlette": ("compare/web/",),
    "uvicorn": ("compare/web/",),
    "h11": ("compare/web/",),
    "torch.distributed": ("shard/",),
    "kvikio": ("store/readers/", "devices/gpudirect.py", "stream/backends/"),
    "blosc2": ("store/",),
    "gguf": ("store/",),
    "safetensors": (),  # the format is read and written by `store` itself
    "transformers": ("stream/", "cli/", "testing/"),
}
VAGUE = {"utils", "util", "common", "helpers", "misc", "core", "base", "manager"}


def module_name(file: Path) -> str:
    parts = ["outgrow", *file.relative_to(SOURCES).with_suffix("").parts]
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def relative(file: Path) -> str:
    return file.relative_to(SOURCES).as_posix()


MODULES = [module_name(file) for file in FILES]


def imported(file: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def fresh(code: str) -> str:
    """What a Python of its own prints."""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return done.stdout


def loaded_by(statement: str) -> set[str]:
    """The top-level packages that a statement loads in a fresh Python."""
    return set(
        fresh(f"{statement}\nimport sys\nprint(*{{name.partition('.')[0] for name in sys.modules}})").split()
    )


@pytest.mark.parametrize("name", MODULES)
def test_every_public_name_can_be_imported(name):
    if name.endswith("__main__"):
        pytest.skip("importing it runs nothing, but it has no names")
    module = importlib.import_module(name)
    assert isinstance(module.__all__, list), f"{name} has no __all__"
    assert len(set(module.__all__)) == len(module.__all__)
    for public in module.__all__:
        assert hasattr(module, public), f"{name}.__all__ names {public}, which is not there"


@pytest.mark.parametrize("folder", ["src", "tests", "bench", "examples"])
def test_no_file_holds_two_nouns(folder):
    lines = {
        file.relative_to(ROOT).as_posix(): len(file.read_text().splitlines())
        for file in (ROOT / folder).rglob("*.py")
    }
    assert lines
    assert {file: count for file, count in lines.items() if count > MAX_LINES} == {}


@pytest.mark.parametrize("file", FILES, ids=relative)
def test_files_are_named_for_a_noun(file):
    assert file.stem not in VAGUE
    assert file.parent.name not in VAGUE


@pytest.mark.parametrize("file", FILES, ids=relative)
def test_heavy_imports_have_one_owner(file):
    for name in imported(file):
        for package, owners in OWNERS.items():
            if name == package or name.startswith(f"{package}."):
                assert relative(file).startswith(owners), f"only {', '.join(owners)} may import {package}"


@pytest.mark.parametrize("file", FILES, ids=relative)
def test_annotations_are_values(file):
    """jaxtyping and dataclasses look at them while the program runs."""
    assert "__future__.annotations" not in set(imported(file))


def test_importing_outgrow_loads_the_standard_library_alone():
    beyond = loaded_by("import outgrow") - set(sys.stdlib_module_names) - loaded_by("pass")
    assert beyond == {"outgrow"}


@pytest.mark.parametrize(
    "floor", ["errors", "quantities", "names", "events", "cache", "interrupts", "markup"]
)
def test_floor_0_loads_the_standard_library_alone(floor):
    beyond = loaded_by(f"import outgrow.{floor}") - set(sys.stdlib_module_names) - loaded_by("pass")
    assert beyond == {"outgrow"}


@pytest.mark.parametrize(
    ("statement", "unwanted"),
    [
        ("import outgrow.cli.main", {"torch", "rich", "numpy", "transformers"}),
        # The page is there before torch is.
        ("import outgrow.compare.web", {"torch", "numpy", "rich", "safetensors", "transformers"}),
        ("import outgrow.compare", {"torch", "numpy", "starlette", "uvicorn", "click", "rich"}),
        ("import outgrow.compare.comparison", {"starlette", "uvicorn", "click", "rich", "transformers"}),
        ("import outgrow.devices", {"click", "rich", "transformers", "kvikio"}),
        ("import outgrow.store", {"click", "rich", "transformers", "blosc2", "gguf", "kvikio"}),
        ("import outgrow.stream", {"click", "rich", "transformers", "blosc2", "gguf", "kvikio"}),
    ],
)
def test_imports_cost_only_what_they_need(statement, unwanted):
    assert loaded_by(statement) & unwanted == set()


@pytest.mark.parametrize("room", ["stream", "shard", "evolve", "compare.comparison", "capture", "store"])
def test_a_room_loads_nothing_foreign_beside_torch(room):
    """Not its time, which depends on what else the machine does (case `import_times`), but what it loads."""
    before = "import sys, torch, numpy, safetensors\nbefore = set(sys.modules)\n"
    new = fresh(f"{before}import outgrow.{room}\nprint(*(set(sys.modules) - before))").split()
    foreign = [name for name in new if name.partition(".")[0] not in {"outgrow", *sys.stdlib_module_names}]
    # `torch.workers` is the device of shard; counting FLOPs is a module of torch that not everybody needs.
    allowed = {"torch.workers", "torch.utils.flop_counter", "torch.utils.module_tracker"}
    assert {name for name in foreign if not name.startswith(("numpy.", "safetensors."))} <= allowed
    rooms = {"stream", "shard", "evolve", "compare", "cli", "testing"} - {room.partition(".")[0]}
    assert not [name for name in new if name.startswith(tuple(f"outgrow.{other}" for other in rooms))]
    assert len(new) < 300


def test_help_answers_at_once():
    """By what it loads: its time is for the case `import_times`, on a machine that does nothing else."""
    command = [sys.executable, "-X", "importtime", "-m", "outgrow", "--help"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert "doctor" in done.stdout
    loaded = [line.rpartition("|")[2].strip() for line in done.stderr.splitlines() if "import time" in line]
    assert not [
        name for name in loaded if name.partition(".")[0] in {"torch", "numpy", "rich", "transformers"}
    ]
    assert not [name for name in loaded if name.startswith("outgrow.") and name.count(".") > 2]
    assert len(loaded) < 200


def registries() -> Iterator[tuple[str, Mapping[str, object]]]:
    """Every literal dict by names that a module shows in its `__all__`, once."""
    seen = set()
    for file in FILES:
        if file.name == "__main__.py":
            continue
        module = importlib.import_module(module_name(file))
        for public in module.__all__:
            value = getattr(module, public)
            if not public.isupper() or not isinstance(value, Mapping) or id(value) in seen:
                continue
            seen.add(id(value))
            if all(isinstance(key, str) for key in value):
                yield f"{module.__name__}.{public}", value


def test_there_are_registries_to_walk():
    assert "outgrow.cli.main.COMMANDS" in dict(registries())


def test_every_registered_name_is_documented_and_tested():
    reference = "\n".join(page.read_text() for page in (ROOT / "docs" / "reference").rglob("*.md"))
    files = [file for file in (ROOT / "tests").rglob("*.py") if file != Path(__file__)]
    tests = "\n".join(file.read_text() for file in files)
    missing = []
    for registry, entries in registries():
        # Either a test walks the whole dict, or each name is tested.
        is_walked = re.search(rf"\b{registry.rpartition('.')[2]}\b", tests)
        for name in entries:
            if not re.search(rf"`[^`\n]*(?<!\w){re.escape(name)}(?!\w)[^`\n]*`", reference):
                missing.append(f"{registry}[{name!r}] has no row in docs/reference")
            if not is_walked and not re.search(rf"""["'\[]{re.escape(name)}["'\] ]""", tests):
                missing.append(f"{registry}[{name!r}] has no test")
    assert not missing, "\n".join(missing)


def test_all_takes_in_every_extra_that_installs_anywhere():
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    (everything,) = extras["all"]
    listed = set(re.fullmatch(r"outgrow\[(.*)\]", everything)[1].split(","))
    assert listed == set(extras) - {"all", "dev", "gds"}


def test_news_fragments_are_of_a_known_kind():
    kinds = {
        kind["directory"]
        for kind in tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["towncrier"]["type"]
    }
    for fragment in (ROOT / "changes").glob("*.md"):
        if fragment.name != "README.md":
            assert fragment.name.split(".")[-2] in kinds, fragment.name


def test_the_package_is_typed():
    assert (SOURCES / "py.typed").exists()
