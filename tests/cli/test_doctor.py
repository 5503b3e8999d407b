import importlib.metadata
import json

import pytest

from outgrow import devices
from outgrow.cli.doctor import choose_backend, examine
from outgrow.cli.main import main
from outgrow.errors import DeviceError

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
    version = importlib.metadata.version

    def without(package):
        if package == "uvicorn":
            raise importlib.metadata.PackageNotFoundError(package)
        return version(package)

    monkeypatch.setattr(importlib.metadata, "version", without)
    assert main(["doctor", "--path", str(tmp_path), *SMALL]) == 0
    assert "uvicorn is missing: pip install 'outgrow[web]'" in " ".join(capsys.readouterr().out.split())
