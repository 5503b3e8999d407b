"""What is said of a damaged folder of a run as it is read: nothing is shown as if it were whole."""

import json

import pytest

from outgrow.errors import InputError
from outgrow.evolve.run import RunConfiguration, read_log, read_run
from outgrow.store import StoreCorrupt

_ENTRY = {
    "kind": "evaluation",
    "steps": 0,
    "samples": 0,
    "flops": 0.0,
    "seconds": 0.0,
    "parameters": 1,
    "layers": [],
}


def folder(path, *, lines=(), is_finished=False, configuration=None):
    held = RunConfiguration().as_json() if configuration is None else configuration
    run = {"format": "outgrow.evolve.run", "version": 1, "configuration": held}
    (path / "run.json").write_text(json.dumps(run))
    header = {"format": "outgrow.evolve.log", "version": 1}
    (path / "log.jsonl").write_text("".join(f"{line}\n" for line in [json.dumps(header), *lines]))
    if is_finished:
        (path / "finished.json").write_text("{}")
    return path


def test_what_is_whole_is_read(tmp_path):
    assert read_log(folder(tmp_path, lines=[json.dumps(_ENTRY)])) == (_ENTRY,)
    assert read_run(tmp_path) == RunConfiguration()


@pytest.mark.parametrize("held", [[1], "x", 3, {**RunConfiguration().as_json(), "budget_flops": "much"}])
def test_a_configuration_that_is_none_is_named(tmp_path, held):
    with pytest.raises(StoreCorrupt, match=r"run\.json"):
        read_run(folder(tmp_path, configuration=held))


def test_a_description_without_configuration_is_named(tmp_path):
    (tmp_path / "run.json").write_text('{"format": "outgrow.evolve.run", "version": 1}')
    with pytest.raises(StoreCorrupt, match=r"run\.json"):
        read_run(tmp_path)


@pytest.mark.parametrize("line", ["{torn", "[1]", json.dumps({"kind": "evaluation"})])
def test_a_log_with_a_damaged_line_is_named(tmp_path, line):
    with pytest.raises(StoreCorrupt, match=r"log\.jsonl"):
        read_log(folder(tmp_path, lines=[line, json.dumps(_ENTRY)]))


def test_a_line_that_is_being_written_is_left_out(tmp_path):
    log = folder(tmp_path, lines=[json.dumps(_ENTRY)]) / "log.jsonl"
    log.write_text(log.read_text() + '{"kind": "eval')
    assert read_log(tmp_path) == (_ENTRY,)


def test_the_log_of_a_finished_run_is_whole(tmp_path):
    log = folder(tmp_path, lines=[json.dumps(_ENTRY)], is_finished=True) / "log.jsonl"
    log.write_text(log.read_text() + '{"kind": "eval')
    with pytest.raises(StoreCorrupt, match=r"log\.jsonl"):
        read_log(tmp_path)
    with pytest.raises(StoreCorrupt, match="empty"):
        read_log(folder(tmp_path, is_finished=True))


def test_a_log_without_entries_has_only_begun(tmp_path):
    with pytest.raises(InputError, match="no entry yet"):
        read_log(folder(tmp_path))
