"""docs/not-there-yet.md names every test that waits for a GPU, all code for one, and every room."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PAGE = (ROOT / "docs" / "not-there-yet.md").read_text()
GPU = PAGE.split("\n## Never run on a GPU\n", 1)[1].split("\n## ", 1)[0]
ROWS = [line for line in GPU.splitlines() if line.startswith("| ")][1:]
MARKED = re.compile(r"^(@|pytestmark = .*)pytest\.mark\.gpu\b|[\[ (]pytest\.mark\.gpu\b", re.MULTILINE)
FOR_GPUS = re.compile(r"torch\.cuda|is_cuda|[\"']cuda\b|cuda:")


def cell(row: str, number: int) -> list[str]:
    """What stands in backticks in a cell of the table."""
    return re.findall(r"`([^`]+)`", row.strip("| ").split(" | ")[number])


def marked_files() -> set[str]:
    tests = (file for file in (ROOT / "tests").rglob("*.py") if file.name != "conftest.py")
    return {file.relative_to(ROOT).as_posix() for file in tests if MARKED.search(file.read_text())}


def test_every_test_that_waits_for_a_gpu_is_named():
    named = [name for row in ROWS for name in cell(row, 3)]
    assert sorted(named) == sorted(marked_files())
    assert "tests/shard/test_gpu.py" in named


def test_all_code_that_is_written_for_gpus_is_named():
    sources = ROOT / "src" / "outgrow"
    written = {
        file.relative_to(sources).parts[0] + "/"
        for file in sources.rglob("*.py")
        if FOR_GPUS.search(file.read_text())
    }
    named = [name for row in ROWS for name in cell(row, 2)]
    # A tensor on a GPU is handed to `compare`, whose code for it names no device.
    assert sorted(named) == sorted(written | {"compare/"})


@pytest.mark.parametrize("room", ["stream", "shard", "evolve", "compare"])
def test_every_room_has_its_limits(room):
    assert f"| `{room}` |" in GPU
    limits = PAGE.split(f"\n## {room}\n", 1)[1].split("\n## ", 1)[0]
    assert limits.count("\n- ") >= 5


def test_no_figure_is_about_a_gpu():
    """What the page says of all figures: no result file comes from a machine with a GPU."""
    for file in (ROOT / "bench" / "results").glob("*.json"):
        head = file.read_text()[:4000]
        assert re.search(r'"torch": "[\d.]+\+cpu"', head), file.name
