import json
import re
import sys
from dataclasses import fields
from pathlib import Path

import pytest

from outgrow import devices
from outgrow.cli.doctor_machine import DoctorReport, choose_backend, examine
from outgrow.cli.main import main
from outgrow.errors import DeviceError, InputError

SMALL = ["--size", "8MiB"]


@pytest.fixture
def no_gpu(monkeypatch):
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)


def test_json_is_one_object_with_every_figure(tmp_path, capsys, no_gpu):
    assert main(["--quiet", "doctor", "--json", "--path", str(tmp_path), *SMALL]) == 0
    output = capsys.readouterr()
    assert output.err == ""
    report = json.loads(output.out)
    assert report["version"] == 1
    assert report["disk"]["path"] == str(tmp_path)
    assert report["disk"]["buffered_bytes_per_second"] > 0
    assert (report["disk"]["direct_bytes_per_second"] is not None) is report["disk"]["direct_reads"]
    assert report["memory"]["available"] <= report["memory"]["limit"]
    assert report["gpus"] == []
    assert report["gpudirect"]["is_usable"] is False
    assert report["backend"]["device"] == "cpu"
    assert list(tmp_path.iterdir()) == []


def test_the_reference_lists_every_key():
    page = (Path(__file__).parents[2] / "docs" / "reference" / "cli.md").read_text()
    section = page.split("\n## `outgrow doctor`\n")[1].split("\n## ")[0]
    listed = set(re.findall(r"^\| `(\w+)` \|", section, re.MULTILINE))
    assert listed | {"version", "outgrow", "python", "system"} == {one.name for one in fields(DoctorReport)}


def test_tables_say_the_same_in_words(tmp_path, capsys, no_gpu):
    assert main(["doctor", "--path", str(tmp_path), *SMALL]) == 0
    output = capsys.readouterr()
    for text in ("This machine", "available of", "none that torch can use", "Buffered reads", "Why", "/s\n"):
        assert text in output.out
    assert "measuring the disk" in output.err
    assert not any(line.endswith(" ") for line in output.out.splitlines())


def test_without_a_path_the_cache_directorys_disk_is_measured_and_nothing_created(
    tmp_path, capsys, monkeypatch, no_gpu
):
    monkeypatch.setenv("OUTGROW_CACHE", str(tmp_path / "not" / "yet"))
    assert main(["doctor", "--json", *SMALL]) == 0
    assert json.loads(capsys.readouterr().out)["disk"]["path"] == str(tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_a_missing_path_is_an_error_before_anything_is_measured(tmp_path, capsys):
    assert main(["-q", "doctor", "--path", str(tmp_path / "nowhere")]) == 2
    output = capsys.readouterr()
    assert output.out == ""
    assert "does not exist" in output.err


@pytest.mark.parametrize("size", ["huge", "-1MB", "1kB"])
def test_a_bad_size_is_a_clear_error(tmp_path, capsys, size):
    assert main(["-q", "doctor", "--path", str(tmp_path), "--size", size]) == 2
    assert capsys.readouterr().err.startswith("InputError: ")


def test_a_disk_that_cannot_be_measured_is_reported_and_does_not_fail(tmp_path, monkeypatch, capsys, no_gpu):
    def fail(path, **options):
        raise DeviceError("the disk is full", hint="delete something")

    monkeypatch.setattr(devices, "probe_read_bandwidth", fail)
    report = examine(tmp_path, nbytes=8 << 20)
    assert "the disk is full" in report.disk["error"]
    assert report.disk["buffered_bytes_per_second"] is None
    assert main(["doctor", "--path", str(tmp_path)]) == 0
    output = capsys.readouterr().out
    assert "not measured" in output
    assert "the disk is full" in output


def test_a_gpu_whose_copies_cannot_be_measured_is_still_listed(tmp_path, monkeypatch, capsys, no_gpu):
    from outgrow.devices.inventory import GpuInfo

    gpu = GpuInfo(index=0, name="Big GPU", total_bytes=80 << 30, capability=(9, 0))
    monkeypatch.setattr("outgrow.devices.inventory.read_gpus", lambda: (gpu,))
    assert main(["doctor", "--path", str(tmp_path), *SMALL]) == 0
    output = capsys.readouterr().out
    assert "Big GPU, 85.9 GB, pinned copies not measured" in output
    assert "cuda" in output


@pytest.mark.parametrize(
    ("has_gpu", "direct_reads", "gpudirect", "name", "reader", "words"),
    [
        (False, True, False, "mmap", "direct", "no CUDA device"),
        (False, False, False, "mmap", "buffered", "takes no O_DIRECT"),
        (True, True, False, "cuda", "direct", "pinned memory"),
        (True, True, True, "cuda", "direct", "GPUDirect"),
    ],
    ids=["cpu", "cpu on tmpfs", "gpu", "gpu with gpudirect"],
)
def test_the_backend_follows_from_what_is_there(
    tmp_path, has_gpu, direct_reads, gpudirect, name, reader, words
):
    chosen = choose_backend(has_gpu=has_gpu, direct_reads=direct_reads, gpudirect=gpudirect, path=tmp_path)
    assert (chosen["name"], chosen["reader"]) == (name, reader)
    assert words in chosen["reason"]


def test_it_says_whether_the_page_can_be_served(tmp_path, capsys, monkeypatch, no_gpu):
    report = examine(tmp_path, nbytes=8 << 20)
    assert report.web["is_installed"]
    assert "uvicorn" in report.web["reason"]
    monkeypatch.setitem(sys.modules, "uvicorn", None)
    assert main(["doctor", "--json", "--path", str(tmp_path), *SMALL]) == 0
    web = json.loads(capsys.readouterr().out)["web"]
    assert web == {"is_installed": False, "reason": "uvicorn is missing: pip install 'outgrow[web]'"}


def test_both_forms_name_every_room_and_its_parts(tmp_path, capsys, no_gpu):
    assert main(["-q", "doctor", "--json", "--path", str(tmp_path), *SMALL]) == 0
    rooms = json.loads(capsys.readouterr().out)["rooms"]
    assert list(rooms) == ["stream", "shard", "evolve", "compare", "store"]
    assert main(["-q", "doctor", "--path", str(tmp_path), *SMALL]) == 0
    table = capsys.readouterr().out.split("What each room can do here\n")[1]
    for room, parts in rooms.items():
        assert f"\n{room} " in table
        for part in parts.values():
            line = next(
                line for line in table.splitlines() if part["name"] in line and part["reason"] in line
            )
            assert f" {part['state']} " in line


def test_without_torch_it_says_so_and_what_to_install(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr("outgrow.cli.doctor_machine.torch_problem", lambda: "libcudart.so.13: no such file")
    assert main(["-q", "doctor", "--path", str(tmp_path)]) == 0
    text = capsys.readouterr().out
    assert "cannot be imported: libcudart.so.13: no such file" in text
    assert "pip install 'torch>=2.11,<2.14'" in text
    assert main(["-q", "doctor", "--json", "--path", str(tmp_path)]) == 0
    report = json.loads(capsys.readouterr().out)
    assert report["torch"]["problem"] == "libcudart.so.13: no such file"
    assert {
        room: next(iter(parts.values()))["state"] for room, parts in report["rooms"].items()
    } == dict.fromkeys(("stream", "shard", "evolve", "compare", "store"), "no")


def test_a_user_without_a_home_gets_an_answer(capsys, monkeypatch, no_gpu):
    def nobody():
        raise InputError("this user has no home directory to keep a cache in")

    monkeypatch.setattr("outgrow.cli.doctor_machine.cache_directory", nobody)
    monkeypatch.setattr("outgrow.compare.kernel.build.cache_directory", nobody)
    assert main(["-q", "doctor", "--json", *SMALL]) == 0
    runs = json.loads(capsys.readouterr().out)["rooms"]["compare"]["runs"]
    assert runs["state"] == "reduced"
    assert "no home directory" in runs["reason"]
