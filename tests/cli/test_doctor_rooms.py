"""What the doctor makes of what it found, row by row."""

import ast
import re
import sys
import tomllib
from dataclasses import replace
from pathlib import Path

import pytest

from outgrow.cli.doctor_rooms import Findings, extras, judge_rooms, supported_torch, what_to_install

ROOT = Path(__file__).parent.parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
ALL = {package.name: "99" for packages in extras.values() for package in packages}
FULL = Findings(packages=ALL, gpus=1, gpudirect=(True, "kvikio finds the driver"))


def states(found):
    return [part.state for parts in judge_rooms(found).values() for part in parts.values()]


def changed(**findings):
    """The parts that differ from a machine that has everything."""
    rooms = judge_rooms(replace(FULL, **findings))
    before = judge_rooms(FULL)
    return {
        f"{room}.{key}": part
        for room, parts in rooms.items()
        for key, part in parts.items()
        if part.state != before[room][key].state
    }


def without(name):
    return {package: version for package, version in ALL.items() if package != name}


def parsed(requirement):
    name, oldest = re.match(r"([\w-]+)>=([\d.]+)", requirement).groups()
    return name, oldest


def test_the_extras_are_those_of_the_package():
    declared = {
        extra: {parsed(requirement) for requirement in requirements}
        for extra, requirements in PROJECT["optional-dependencies"].items()
        if extra not in ("all", "dev")
    }
    assert declared == {
        extra: {(package.name, package.minimum) for package in packages} for extra, packages in extras.items()
    }


def test_the_range_of_torch_is_that_of_the_package():
    (torch,) = [one for one in PROJECT["dependencies"] if one.startswith("torch")]
    assert torch == "torch>={},<{}".format(*supported_torch)


def test_a_machine_with_all_has_all():
    assert set(states(FULL)) == {"yes"}
    assert what_to_install(judge_rooms(FULL)) is None


@pytest.mark.parametrize(
    ("package", "parts"),
    [
        ("transformers", {"stream.hugging_face", "store.gguf"}),
        ("gguf", {"store.gguf"}),
        ("blosc2", {"store.compressed"}),
        ("starlette", {"compare.page"}),
        ("uvicorn", {"compare.page"}),
        ("PyYAML", {"shard.signal_files"}),
        ("scikit-learn", {"evolve.digits"}),
    ],
)
def test_a_missing_package_costs_its_parts_and_nothing_else(package, parts):
    extra = next(extra for extra, packages in extras.items() if package in {one.name for one in packages})
    line = f"pip install 'outgrow[{extra}]'"
    found = changed(packages=without(package))
    assert set(found) == parts
    for part in found.values():
        assert (part.state, part.reason, part.install) == ("no", f"{package} is missing", line)
    assert what_to_install(judge_rooms(replace(FULL, packages=without(package)))) == line


def test_every_package_of_every_extra_is_somebodys():
    """Each costs a part where it is missing; of kvikio, where GPUDirect does not work."""
    for name in ALL:
        lost = changed(packages=without(name), gpudirect=(name != "kvikio-cu12", "no kvikio"))
        assert lost, name


def test_one_line_brings_all_that_is_missing():
    rooms = judge_rooms(replace(FULL, packages={}))
    assert what_to_install(rooms) == "pip install 'outgrow[codec,evolve,hf,shard,web]'"


def test_an_old_package_is_named_with_its_version_and_upgraded():
    part = changed(packages={**ALL, "transformers": "4.57.1"})["stream.hugging_face"]
    assert part.state == "no"
    assert part.reason == "transformers 4.57.1 is older than 5"
    assert part.install == "pip install --upgrade 'outgrow[hf]'"


@pytest.mark.parametrize("version", ["5", "5.0.0rc1", "5.23.0", "10.1", "unknown"])
def test_a_package_that_is_new_enough_will_do(version):
    assert changed(packages={**ALL, "transformers": version}) == {}


@pytest.mark.parametrize("version", ["2.10.1", "2.14.0", "3.0", "2.4"])
def test_a_torch_outside_of_the_range_reduces_every_room(version):
    found = changed(torch=version)
    assert set(found) == {
        "stream.modules",
        "shard.workers",
        "evolve.networks",
        "compare.runs",
        "store.checkpoints",
    }
    for part in found.values():
        assert (part.state, part.install) == ("reduced", "pip install 'torch>=2.11,<2.14'")
        assert version in part.reason


def test_without_torch_nothing_works_and_what_else_is_missing_is_still_said():
    found = replace(FULL, torch=None, torch_problem="no such file", packages=without("blosc2"))
    rooms = judge_rooms(found)
    assert {part.state for parts in rooms.values() for part in parts.values()} == {"no"}
    assert all("no such file" in next(iter(parts.values())).reason for parts in rooms.values())
    assert rooms["stream"]["hugging_face"].reason == rooms["compare"]["browser"].reason == "needs torch"
    assert what_to_install(rooms) == "pip install 'outgrow[codec]'"


@pytest.mark.parametrize("version", ["2.11.0", "2.13.0+cpu", "2.12.1", "2.13.0a0+git123"])
def test_a_torch_within_the_range_is_as_good_as_any(version):
    assert changed(torch=version) == {}


@pytest.mark.parametrize(
    ("findings", "part", "state", "words"),
    [
        ({"gpus": 0}, "stream.gpu", "reduced", "computes on the CPU"),
        ({"gpus": 0}, "shard.gpu", "reduced", "gloo"),
        ({"gpudirect": (False, "no driver")}, "stream.gpudirect", "no", "no driver"),
        ({"direct_reads": False, "disk": "/net"}, "stream.modules", "reduced", "/net takes no O_DIRECT"),
        ({"compiled_kernel": (False, "no C compiler")}, "compare.runs", "reduced", "no C compiler"),
        ({"is_linux": False}, "shard.workers", "no", "Linux"),
        ({"shared_memory_problem": "not permitted"}, "shard.workers", "no", "not permitted"),
        ({"loopback_problem": "unreachable"}, "shard.workers", "no", "unreachable"),
        ({"loopback_problem": "unreachable"}, "compare.page", "no", "unreachable"),
        ({"has_gloo": False}, "shard.workers", "no", "gloo"),
        ({"cpus": 1}, "shard.workers", "reduced", "one CPU"),
        ({"has_display": False}, "compare.browser", "reduced", "URL"),
    ],
)
def test_what_else_a_room_depends_on(findings, part, state, words):
    found = changed(**findings)[part]
    assert found.state == state
    assert words in found.reason


def test_a_missing_compiler_is_what_to_install_and_a_switch_that_is_off_is_not():
    off = (False, "torch does the work: OUTGROW_KERNEL says so")
    assert changed(compiled_kernel=off)["compare.runs"].install is None
    assert "C compiler" in changed(compiled_kernel=off, has_compiler=False)["compare.runs"].install


def test_gpudirect_is_offered_where_there_is_a_gpu_alone():
    lost = without("kvikio-cu12")
    assert (
        changed(packages=lost, gpudirect=(False, "-"))["stream.gpudirect"].install
        == "pip install 'outgrow[gds]'"
    )
    found = changed(packages=lost, gpudirect=(False, "there is no CUDA device"), gpus=0)
    assert found["stream.gpudirect"].install is None


def test_every_foreign_package_that_the_code_imports_is_known_to_the_doctor():
    """A new lazy import has to appear in the table, or be one that all have."""
    base = {re.match(r"[\w-]+", one)[0] for one in PROJECT["dependencies"]}
    # What uvicorn and transformers bring; and the strategies of `outgrow.testing` are for tests alone.
    of_others = {"h11", "huggingface_hub", "hypothesis"}
    known = base | of_others | {package.module for packages in extras.values() for package in packages}
    foreign = set()
    for file in (ROOT / "src" / "outgrow").rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.Import):
                names = [alias.name for alias in node.names]
            elif isinstance(node, ast.ImportFrom) and not node.level:
                names = [node.module]
            elif isinstance(node, ast.Call) and ast.unparse(node.func).endswith("import_module"):
                names = [arg.value for arg in node.args if isinstance(arg, ast.Constant)]
            else:
                continue
            foreign |= {name.partition(".")[0] for name in names}
    assert foreign - set(sys.stdlib_module_names) - {"outgrow"} - known == set()
