"""What is held to its coverage is what is mutated, and both figures are counted right."""

import json
import tomllib
from argparse import ArgumentParser
from pathlib import Path

import pytest

from bench.cases import deciding
from bench.deciding import PARTS, modules

ROOT = Path(__file__).resolve().parents[2]


def test_what_is_held_is_mutated():
    mutmut = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["mutmut"]
    held = [part for part in PARTS if part.is_held]
    assert mutmut["only_mutate"] == [f"src/outgrow/{each}" for part in held for each in part.modules]
    tests = [f"tests/{each}" for part in held for each in part.tests]
    assert mutmut["pytest_add_cli_args_test_selection"] == tests


@pytest.mark.parametrize("part", PARTS, ids=lambda part: part.name)
def test_every_part_has_modules_and_tests(part):
    assert modules(part)
    assert all((ROOT / "tests" / test).exists() for test in part.tests)


@pytest.mark.parametrize("part", [part for part in PARTS if part.is_held], ids=lambda part: part.name)
def test_no_tests_of_a_module_that_is_held_are_forgotten(part):
    """Where a file of tests was parted, all its parts count: `test_plan.py` and `test_plan_promises.py`."""
    (package,) = {Path(module).parent for module in part.modules if "rules" not in module}
    names = [path.stem.removesuffix("_state") for path in modules(part)]
    own = [test for name in names for test in (ROOT / "tests" / package).glob(f"test_{name}_*.py")]
    listed = {ROOT / "tests" / test for test in part.tests}
    assert [test.name for test in own if not listed & {test, test.parent}] == []


def test_no_module_decides_twice():
    paths = [path for part in PARTS for path in modules(part)]
    assert len(set(paths)) == len(paths)


def options(tmp_path, *arguments):
    parser = ArgumentParser()
    deciding.add_arguments(parser)
    return parser.parse_args(["--toy", "--results", str(tmp_path / "results"), *arguments])


def test_mutants_are_counted_with_what_was_judged_of_them(tmp_path):
    codes = {"a": 1, "b": 1, "c": 0, "d": 0, "e": -24, "f": None}
    names = {f"outgrow.stream.ring.xǁRingǁtake__mutmut_{key}": code for key, code in codes.items()}
    folder = tmp_path / "mutants" / "src" / "outgrow" / "stream"
    folder.mkdir(parents=True)
    (folder / "ring.py.meta").write_text(json.dumps({"exit_code_by_key": names}))
    judged = {"outgrow.stream.ring.xǁRingǁtake__mutmut_c"}
    found = deciding._mutants([tmp_path / "mutants"], judged)
    assert found == {
        "outgrow.stream.ring": {
            "killed": 2, "survived": 1, "equivalent": 1, "timeout": 1, "not looked at": 1,
        }
    }  # fmt: skip


def test_too_few_branches_are_a_failure(tmp_path, monkeypatch):
    part = deciding.Part(
        name="low", modules=["stream/ring.py"], tests=["stream/test_window_size.py"], is_held=True
    )
    monkeypatch.setattr(deciding, "PARTS", [part])
    few = options(tmp_path, "--dry", "--least", "95")
    few.toy = False
    with pytest.raises(SystemExit, match="low"):
        deciding.run(few)


def test_failing_tests_are_an_error(tmp_path, monkeypatch):
    part = deciding.Part(name="gone", modules=["stream/ring.py"], tests=["no_such_test.py"])
    monkeypatch.setattr(deciding, "PARTS", [part])
    chosen = options(tmp_path, "--dry")
    chosen.toy = False
    with pytest.raises(OSError, match="the tests of 'gone' failed"):
        deciding.run(chosen)
