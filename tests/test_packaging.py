"""The wheel and the sdist: what is in them, and that the one gives the other."""

import ast
import csv
import io
import os
import re
import subprocess
import sys
import tarfile
import tomllib
import zipfile
from email.parser import Parser
from pathlib import Path, PurePosixPath

import pytest

import outgrow

ROOT = Path(__file__).parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
pytest.importorskip("hatchling")


def build(source, target, *kinds):
    """The files that hatchling makes of a folder, as `pip` and `python -m build` let it."""
    kinds = [word for kind in kinds for word in ("-t", kind)]
    command = [sys.executable, "-m", "hatchling", "build", "-d", str(target), *kinds]
    subprocess.run(command, cwd=source, check=True, capture_output=True, timeout=120)
    return sorted(target.iterdir())


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    wheel, sdist = build(ROOT, tmp_path_factory.mktemp("dist"), "sdist", "wheel")
    assert sdist.name == f"outgrow-{outgrow.__version__}.tar.gz"
    assert wheel.name == f"outgrow-{outgrow.__version__}-py3-none-any.whl"
    return sdist, wheel


@pytest.fixture(scope="module")
def wheel(built):
    with zipfile.ZipFile(built[1]) as opened:
        yield opened


@pytest.fixture(scope="module")
def sdist(built):
    with tarfile.open(built[0]) as opened:
        yield opened


def test_the_wheel_holds_every_file_of_the_package_and_nothing_else(wheel):
    tracked = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard", "src/outgrow"],
        cwd=ROOT, capture_output=True, text=True, check=False,
    )  # fmt: skip
    if tracked.returncode:
        pytest.skip("no checkout of git")
    files = {name.removeprefix("src/") for name in tracked.stdout.split("\0") if name}
    files = {name for name in files if (ROOT / "src" / name).exists()}
    about = f"outgrow-{outgrow.__version__}.dist-info"
    assert {name for name in wheel.namelist() if not name.startswith(about)} == files


def test_the_wheel_has_what_is_not_python(wheel):
    names = set(wheel.namelist())
    for needed in (
        "outgrow/py.typed",
        "outgrow/compare/kernel/measure.c",
        "outgrow/compare/web/static/index.html",
        "outgrow/compare/web/static/assets/page.js",
        "outgrow/evolve/policies/attention_policy.safetensors",
        "outgrow/capture/bootstrap/sitecustomize.py",
    ):
        assert needed in names


@pytest.mark.parametrize("kind", ["wheel", "sdist"])
def test_neither_holds_what_was_made_here(kind, request):
    opened = request.getfixturevalue(kind)
    names = opened.namelist() if kind == "wheel" else opened.getnames()
    parts = {part for name in names for part in PurePosixPath(name).parts}
    assert parts & {"node_modules", "__pycache__", ".venv", "_build", ".hypothesis", ".git"} == set()
    assert not [name for name in names if name.endswith((".pyc", ".so"))]
    assert kind == "sdist" or "tests" not in parts


def test_what_the_demo_runs_is_the_example_itself_and_no_link(wheel, sdist):
    example = (ROOT / "examples" / "one_model_in_four_rooms.py").read_bytes()
    inside = "outgrow/cli/one_model_in_four_rooms.py"
    assert wheel.read(inside) == example
    ast.parse(example)
    assert wheel.getinfo(inside).external_attr >> 28 == 0o10  # a regular file
    top = f"outgrow-{outgrow.__version__}"
    assert sdist.extractfile(f"{top}/examples/one_model_in_four_rooms.py").read() == example
    assert {member.type for member in sdist} == {tarfile.REGTYPE}


def test_the_sdist_gives_the_same_wheel(built, sdist, tmp_path):
    sdist.extractall(tmp_path, filter="data")
    (again,) = build(tmp_path / f"outgrow-{outgrow.__version__}", tmp_path / "dist", "wheel")
    assert again.read_bytes() == built[1].read_bytes()


def test_links_that_an_archive_lost_do_no_harm(built, sdist, tmp_path):
    """Of a checkout that came as a zip, links can be text files that name their target."""
    sdist.extractall(tmp_path, filter="data")
    source = tmp_path / f"outgrow-{outgrow.__version__}"
    (source / "src/outgrow/cli/one_model_in_four_rooms.py").write_text(
        "../../../examples/one_model_in_four_rooms.py"
    )
    (again,) = build(source, tmp_path / "dist", "wheel")
    assert again.read_bytes() == built[1].read_bytes()


def test_the_metadata_name_what_is_needed_and_every_extra(wheel):
    text = wheel.read(f"outgrow-{outgrow.__version__}.dist-info/METADATA").decode()
    about = Parser().parsestr(text)
    assert about["Requires-Python"] == PROJECT["requires-python"]
    base = {re.split(r"[<>=]", line)[0] for line in about.get_all("Requires-Dist") if "extra ==" not in line}
    assert base == {"torch", "numpy", "click", "rich"}
    assert set(about.get_all("Provides-Extra")) == set(PROJECT["optional-dependencies"])
    assert about["License-Expression"] == "Apache-2.0"
    assert (
        "outgrow = outgrow.cli.main:main"
        in wheel.read(f"outgrow-{outgrow.__version__}.dist-info/entry_points.txt").decode()
    )


def test_the_record_lists_every_file(wheel):
    record = wheel.read(f"outgrow-{outgrow.__version__}.dist-info/RECORD").decode()
    assert {row[0] for row in csv.reader(io.StringIO(record))} == set(wheel.namelist())


def test_every_extra_that_the_code_speaks_of_is_one():
    said = re.compile(r"outgrow\[([\w,]+)\]")
    extras = set(PROJECT["optional-dependencies"])
    for file in [*(ROOT / "src").rglob("*.py"), *(ROOT / "docs").rglob("*.md"), ROOT / "README.md"]:
        if "_build" not in file.parts:
            for names in said.findall(file.read_text()):
                assert set(names.split(",")) <= extras, f"{file}: outgrow[{names}]"


def test_wheels_that_pages_name_have_the_name_of_this_one():
    named = {
        name
        for page in (ROOT / "docs").rglob("*.md")
        if "_build" not in page.parts
        for name in re.findall(r"outgrow-[\w.]+-py3-none-any\.whl", page.read_text())
    }
    assert named == {f"outgrow-{outgrow.__version__}-py3-none-any.whl"}


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_the_wheel_works_in_an_empty_environment(tmp_path):
    """What `make package` does. Takes minutes, and torch from where pip gets its packages."""
    venv = Path(sys.prefix)
    done = subprocess.run(
        ["bash", str(ROOT / ".ci" / "package")], cwd=ROOT, timeout=1700, capture_output=True, text=True,
        env={**os.environ, "VENV": str(venv), "DIST": str(tmp_path / "dist")}, check=False,
    )  # fmt: skip
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"
    assert "byte for byte" in done.stderr
    assert "WRONG" not in done.stdout
