"""What the documentation says of names, states and limits is what the code has."""

import dataclasses
import re
from pathlib import Path

import pytest
import yaml

from outgrow import stream
from outgrow.quantities import parse_bytes
from outgrow.stream.residency import State

DOCS = Path(__file__).parent.parent / "docs"


def page(name: str) -> str:
    return (DOCS / name).read_text()


@pytest.mark.parametrize("name", stream.__all__)
def test_every_public_name_of_stream_is_in_its_reference(name):
    assert re.search(rf"`[^`\n]*\b{name}\b[^`\n]*`", page("reference/stream.md"))


@pytest.mark.parametrize("kind", [stream.Config, stream.Statistics, stream.PassEnded, stream.Health])
def test_every_field_is_in_the_reference(kind):
    text = page("reference/stream.md")
    missing = [field.name for field in dataclasses.fields(kind) if f"`{field.name}`" not in text]
    assert not missing


def test_the_defaults_of_config_are_those_of_the_reference():
    rows = dict(re.findall(r"^\| `(\w+)` \| `([^`]+)` \|", page("reference/stream.md"), re.MULTILINE))
    config = stream.Config()
    for field in dataclasses.fields(config):
        value = getattr(config, field.name)
        assert rows[field.name] == str(getattr(value, "value", value)), field.name


@pytest.mark.parametrize(
    "kind",
    [stream.BackendType, stream.PrefetchStrategy, stream.MemoryPressureMode],
    ids=lambda kind: kind.__name__,
)
def test_every_choice_is_in_the_reference(kind):
    assert all(f"`{member.value}`" in page("reference/stream.md") for member in kind)


@pytest.mark.parametrize("state", State, ids=lambda state: state.name)
def test_every_state_of_the_machine_is_drawn_and_described(state):
    assert f">{state.value.upper()}<" in page("_static/residency.svg")
    assert f"| `{state.name}` |" in page("explanation/residency-machine.md")


def test_every_error_is_in_the_reference():
    text = page("reference/errors.md")
    sources = (DOCS.parent / "src" / "outgrow").rglob("*.py")
    defined = {
        name
        for source in sources
        for name in re.findall(r"^class (\w+)\(\w*(?:Error|StoreChanged)\b", source.read_text(), re.MULTILINE)
    }
    assert "BudgetTooSmall" in defined
    assert [name for name in sorted(defined) if not re.search(rf"\b{name}`", text)] == []


@pytest.mark.parametrize("name", ["README.md", "CONTRIBUTING.md", "bench/README.md"])
def test_links_of_pages_outside_the_documentation_lead_somewhere(name):
    file = DOCS.parent / name
    links = re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", file.read_text())
    assert [link for link in links if not (file.parent / link).exists()] == []


def manifests() -> list[dict]:
    blocks = re.findall(r"```yaml\n(.*?)```", page("how-to/deploy.md"), re.DOTALL)
    return [document for block in blocks for document in yaml.safe_load_all(block)]


def test_the_manifests_leave_memory_beside_the_budget():
    (job,) = [document for document in manifests() if document["kind"] == "Job"]
    (container,) = job["spec"]["template"]["spec"]["containers"]
    arguments = container["args"]
    budget = parse_bytes(arguments[arguments.index("--budget") + 1])
    limit = parse_bytes(container["resources"]["limits"]["memory"] + "B")
    assert limit >= budget + 1_000_000_000
    mounted = {mount["name"] for mount in container["volumeMounts"]}
    assert mounted == {volume["name"] for volume in job["spec"]["template"]["spec"]["volumes"]}


def test_the_manifests_fit_each_other():
    kinds = {document["kind"]: document for document in manifests()}
    claim, volume = kinds["PersistentVolumeClaim"], kinds["PersistentVolume"]
    assert claim["spec"]["storageClassName"] == volume["spec"]["storageClassName"]
    volumes = kinds["Job"]["spec"]["template"]["spec"]["volumes"]
    claims = {v["persistentVolumeClaim"]["claimName"] for v in volumes if "persistentVolumeClaim" in v}
    assert claims == {claim["metadata"]["name"]}


def test_the_command_in_the_manifest_can_be_parsed():
    import click

    from outgrow.cli.run import run

    (job,) = [document for document in manifests() if document["kind"] == "Job"]
    name, *arguments = job["spec"]["template"]["spec"]["containers"][0]["args"]
    assert name == "run"
    assert run.make_context("run", arguments, resilient_parsing=False).params["budget"] == "4GB"
    with pytest.raises(click.UsageError):
        run.make_context("run", [*arguments, "--no-such-option"])
