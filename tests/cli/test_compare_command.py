"""`outgrow compare`: the sentence, the table, files on request, and exit codes that scripts can trust."""

import json
import os
import tarfile
import xml.etree.ElementTree as ET

import pytest
import torch

from outgrow.cli.main import main
from outgrow.store import write_safetensors


def tensors(layers=3, *, wrong_from=None, seed=0):
    generator = torch.Generator().manual_seed(seed)
    names = [f"{layer}_{stage}" for layer in range(layers) for stage in ("query", "post_attn", "post_mlp")]
    made = {name: torch.randn(5, 6, generator=generator) for name in names}
    for name in names[names.index(wrong_from) :] if wrong_from else ():
        made[name] = made[name] * 1.3
    return made


@pytest.fixture
def dump(tmp_path):
    def write(name, content):
        path = tmp_path / f"{name}.safetensors"
        write_safetensors(path, content)
        return str(path)

    return write


@pytest.fixture
def expected(dump):
    return dump("expected", tensors())


@pytest.fixture
def wrong(dump):
    return dump("wrong", tensors(wrong_from="1_post_mlp"))


def test_equal_runs_exit_with_0(expected, capsys):
    assert main(["compare", expected, expected]) == 0
    assert capsys.readouterr().out.startswith("They match: 9 pairs, all numbers equal.\n")


def test_a_difference_exits_with_1_and_is_marked(expected, wrong, capsys):
    assert main(["compare", expected, wrong]) == 1
    out = capsys.readouterr().out
    assert out.startswith("They differ: '1_post_mlp' is the first tensor that went wrong")
    (marked,) = (line for line in out.splitlines() if line.startswith(">"))
    assert "1_post_mlp" in marked
    assert "^" in out


@pytest.mark.parametrize("option", [[], ["--json"]])
def test_compressed_archives_are_shown_after_they_are_closed(expected, wrong, tmp_path, capsys, option):
    archives = []
    for path in (expected, wrong):
        archives.append(tmp_path / f"{len(archives)}.tar.gz")
        with tarfile.open(archives[-1], "w:gz") as archive:
            archive.add(path, "run/dump.safetensors")
    assert main(["compare", *map(str, archives), *option]) == 1
    out, err = capsys.readouterr()
    assert "1_post_mlp" in out
    assert "Error" not in err


def test_what_was_assumed_is_said(dump, tmp_path, capsys):
    """On the terminal and on the page as well, not in the JSON alone."""
    generator = torch.Generator().manual_seed(0)
    whole = {f"{layer}_post_attn_pre_resid": torch.randn(8, 16, generator=generator) for layer in range(4)}
    parts = {name: torch.randn(8, 16, generator=generator) for name in whole}
    ranks = [parts, {name: whole[name] - parts[name] for name in whole}]
    paths = [dump("whole", whole), *(dump(f"rank{rank}", tensors) for rank, tensors in enumerate(ranks))]
    assert main(["compare", *paths, "--html", str(tmp_path / "page.html")]) == 0
    assumed = "the sum of the ranks fits, and no rank by itself: taken as partial sums"
    out = capsys.readouterr().out
    assert f"Assumed: 1\n  0_post_attn_pre_resid and 3 more: {assumed}" in out
    assert assumed in (tmp_path / "page.html").read_text()
    lone = [dump(name, {name: torch.ones(3)}) for name in ("foo", "bar")]
    assert main(["compare", *lone]) == 0
    assert "Assumed: 1\n  foo: 'foo' and 'bar' were paired since each run has nothing else" in (
        capsys.readouterr().out
    )


def test_nothing_to_pair_exits_with_3(expected, dump, capsys):
    other = dump("other", {f"zz{index}": torch.ones(11) for index in range(6)})
    assert main(["compare", expected, other]) == 3
    assert capsys.readouterr().out.startswith("Too little to say")


@pytest.mark.parametrize(
    "arguments",
    [
        ["compare"],
        ["compare", "one"],
        ["compare", "no such", "file"],
        ["compare", "{expected}", "{expected}", "--rtol", "-1"],
        ["compare", "{expected}", "{expected}", "--rule", "nonsense"],
        ["compare", "{expected}", "{expected}", "--rule", "*=1e-3"],
        ["compare", "{expected}", "{expected}", "--exact", "--atol", "1"],
        ["compare", "{expected}", "{expected}", "--html", "/no such folder/page.html"],
        ["compare", "{expected}", "{expected}", "--json-file", "/no such folder/page.json"],
        ["compare", "{expected}", "{expected}", "--max-entries", "0"],
        ["compare", "{expected}", "{expected}", "--max-ratio", "nan"],
        ["compare", "{expected}", ""],
        ["compare", "", "{expected}"],
        ["compare", "{expected}", "{expected}", "--map", "no such map"],
    ],
)
def test_wrong_input_exits_with_2_and_a_hint(arguments, expected, capsys):
    assert main([word.format(expected=expected) for word in arguments]) == 2
    captured = capsys.readouterr()
    assert not captured.out
    assert "Hint" in captured.err or "Usage" in captured.err


@pytest.mark.parametrize(
    "arguments",
    [
        ["--json-file", "{wrong}"],
        ["--html", "{expected}"],
        ["--junit", "{folder}/../{folder.name}/link"],
        ["--map", "{folder}/map", "--json-file", "{folder}/map"],
        ["--html", "{folder}/page", "--json-file", "{folder}/../{folder.name}/page"],
        ["--html", "{folder}/loop", "--json-file", "{folder}/page"],
    ],
)
def test_no_output_is_written_over_an_input_or_another(arguments, expected, wrong, tmp_path, capsys):
    (tmp_path / "map").write_text("")
    (tmp_path / "link").symlink_to(wrong)
    (tmp_path / "loop").symlink_to(tmp_path / "page")
    before = {path: path.read_bytes() for path in tmp_path.iterdir() if path.name != "loop"}
    words = [word.format(expected=expected, wrong=wrong, folder=tmp_path) for word in arguments]
    assert main(["compare", expected, wrong, *words]) == 2
    assert "would be written over" in capsys.readouterr().err
    assert {path: path.read_bytes() for path in tmp_path.iterdir() if path.name != "loop"} == before


@pytest.mark.parametrize("name", ["index.jsonl", "0_query.pth", "model.safetensors.index.json"])
def test_nothing_in_a_folder_that_is_compared_is_written_over(name, expected, tmp_path, capsys):
    folder = tmp_path / "run"
    folder.mkdir()
    torch.save(torch.ones(3), folder / "0_query.pth")
    (folder / name).touch()
    before = (folder / name).read_bytes()
    assert main(["compare", str(folder), expected, "--json-file", str(folder / name)]) == 2
    assert "would be written over" in capsys.readouterr().err
    assert (folder / name).read_bytes() == before
    (folder / "index.jsonl").unlink(missing_ok=True)
    for _ in range(2):
        assert main(["compare", str(folder), str(folder), "--json-file", str(folder / "report.json")]) == 0


def test_outputs_may_share_a_device(expected, capsys):
    assert main(["compare", expected, expected, "--html", os.devnull, "--junit", os.devnull]) == 0


def test_a_fault_of_ours_is_no_verdict(expected, capsys, monkeypatch):
    import outgrow.compare

    def fail(**_options):
        raise ZeroDivisionError

    monkeypatch.setattr(outgrow.compare, "compare", fail)
    assert main(["compare", expected, expected]) == 2
    assert "fault in outgrow" in capsys.readouterr().err


def test_json_alone_on_stdout(expected, wrong, capsys):
    assert main(["compare", expected, wrong, "--json"]) == 1
    found = json.loads(capsys.readouterr().out)
    assert found["first_divergence"]["expected"] == "1_post_mlp"


def test_files_are_written_whole(expected, wrong, tmp_path, capsys):
    page, xml, values = (tmp_path / name for name in ("page.html", "junit.xml", "values.json"))
    page.write_text("old")
    page.chmod(0o640)
    arguments = ["--html", str(page), "--junit", str(xml), "--json-file", str(values)]
    assert main(["compare", expected, wrong, *arguments]) == 1
    assert page.read_text().startswith("<!doctype html>")
    assert page.stat().st_mode & 0o777 == 0o640
    assert ET.parse(xml).getroot().find("testsuite").get("tests") == "9"
    assert json.loads(values.read_text())["verdict"] == "differ"
    assert {path.name for path in tmp_path.iterdir()} == {
        "page.html", "junit.xml", "values.json", "expected.safetensors", "wrong.safetensors",
    }  # fmt: skip
    assert str(page) in capsys.readouterr().err


def test_tolerances_decide_where_given(expected, wrong, capsys):
    assert main(["compare", expected, wrong, "--rtol", "0.31"]) == 0
    assert main(["compare", expected, wrong, "--rtol", "0.29"]) == 1
    assert main(["compare", expected, wrong, "--rule", "*_post_mlp=1,0", "--rtol", "0.29"]) == 1
    out = capsys.readouterr().out
    assert "'2_query' is the first" in out


def test_exact_finds_the_smallest_difference(expected, dump):
    other = tensors()
    other["2_query"][0, 0] = torch.nextafter(other["2_query"][0, 0], torch.tensor(9.0))
    path = dump("other", other)
    assert main(["compare", expected, path]) == 0
    assert main(["compare", expected, path, "--exact"]) == 1


def test_only_leaves_the_rest_out(expected, wrong, capsys):
    assert main(["compare", expected, wrong, "--only", "0_*"]) == 0
    assert "3 pairs" in capsys.readouterr().out


def test_a_long_table_shows_what_matters_unless_all_is_asked_for(dump, capsys):
    one, other = dump("one", tensors(40)), dump("other", tensors(40, wrong_from="20_post_attn"))
    assert main(["compare", one, other]) == 1
    short = capsys.readouterr().out
    assert main(["compare", one, other, "--all"]) == 1
    whole = capsys.readouterr().out
    assert sum("_query" in line for line in whole.splitlines()) >= 40
    assert len(short.splitlines()) < 60
    assert " more" in short
    assert "20_post_attn" in short


def test_names_cannot_command_the_terminal(dump, capsys):
    path = dump("one", {"0_query": torch.ones(2), "\x1b[31mred\x1b[0m [bold]x[/bold]": torch.ones(2)})
    assert main(["compare", path, path]) == 0
    out = capsys.readouterr().out
    assert "\x1b" not in out
    assert "[bold]x[/bold]" in out


def test_a_page_may_go_into_a_pipe(expected):
    read, write = os.pipe()
    try:
        assert main(["compare", expected, expected, "--html", f"/dev/fd/{write}"]) == 0
        assert os.read(read, 15) == b"<!doctype html>"
    finally:
        os.close(read)
        os.close(write)
