import errno
import os
import shutil
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import pytest
import torch

from outgrow.compare.kernel import choice
from outgrow.compare.kernel.build import KernelUnavailable, built_kernel, find_compiler, kernel_path
from outgrow.compare.kernel.choice import SWITCH, find_kernel, kernel_status
from outgrow.compare.measures import measure
from outgrow.errors import InputError

needs_compiler = pytest.mark.skipif(shutil.which("cc") is None, reason="needs a C compiler")


@pytest.fixture(autouse=True)
def fresh(monkeypatch, tmp_path):
    """As a new process with an empty cache."""
    monkeypatch.setenv("OUTGROW_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv(SWITCH, raising=False)
    monkeypatch.delenv("CC", raising=False)
    choice._load.cache_clear()
    yield
    choice._load.cache_clear()


def large_measures():
    random = torch.Generator().manual_seed(0)
    return measure(*torch.randn(2, 50_000, generator=random))


def compiler(path: Path, text: str) -> str:
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o700)
    return str(path)


@needs_compiler
def test_it_is_compiled_once_and_kept_for_its_owner_alone(tmp_path):
    assert not kernel_status().is_compiled
    assert not (tmp_path / "cache").exists()
    path = built_kernel()
    assert path == kernel_path(find_compiler())
    assert path.is_relative_to(tmp_path / "cache" / "kernels")
    assert [file.name for file in path.parent.iterdir()] == ["measure.so"]
    assert path.parent.stat().st_mode & 0o777 == 0o700
    assert not path.stat().st_mode & 0o077
    written = path.stat().st_mtime_ns
    assert built_kernel() == path
    assert path.stat().st_mtime_ns == written
    assert kernel_status(build=True).is_compiled
    assert kernel_status().path == str(path)


def test_small_tensors_need_no_compiler(tmp_path):
    measure(torch.zeros(100), torch.ones(100))
    assert not (tmp_path / "cache").exists()


@needs_compiler
def test_the_kernel_and_torch_say_the_same(monkeypatch):
    compiled = large_measures()
    assert find_kernel() is not None
    monkeypatch.setenv(SWITCH, "torch")
    assert find_kernel() is None
    assert "OUTGROW_KERNEL" in kernel_status(build=True).reason
    plain = large_measures()
    for name in ("mismatched", "max_abs", "max_abs_index", "max_ulp", "distance_exponents", "outside"):
        assert getattr(compiled, name) == getattr(plain, name)
    for name in ("relative_error", "mse", "cosine", "scale"):
        assert getattr(compiled, name) == pytest.approx(getattr(plain, name), rel=1e-12)


VIEWS = {
    "transposed": lambda numbers: (numbers.t(), numbers.t() + 1),
    "rows repeated": lambda numbers: (numbers[:1].expand(300, 700), numbers),
    "one number repeated": lambda numbers: (numbers[:1, :1].expand(300, 700), numbers),
    "a column": lambda numbers: (numbers.view(-1, 7)[:, 3], numbers.view(-1, 7)[:, 4]),
    "a column twice": lambda numbers: (numbers.view(-1, 7)[:, 3], numbers.view(-1, 7)[:, 3]),
    "every other": lambda numbers: (numbers[:, ::2], numbers[:, 1::2]),
    "negated": lambda numbers: (torch.complex(numbers, numbers).conj().imag, numbers),
}


@needs_compiler
@pytest.mark.parametrize("view", VIEWS)
def test_tensors_with_gaps_are_measured_by_it_too(view):
    one, other = VIEWS[view](torch.randn(300, 700, generator=torch.Generator().manual_seed(0)))
    assert one.numel() > 1024
    plain = measure(*(side.clone(memory_format=torch.contiguous_format) for side in (one, other)))
    found = measure(one, other)
    for name in ("mismatched", "max_abs", "max_abs_index", "max_ulp", "distance_exponents"):
        assert getattr(found, name) == getattr(plain, name)
    assert found.mse == pytest.approx(plain.mse, rel=1e-12)


def test_without_a_compiler_torch_does_the_work(monkeypatch):
    monkeypatch.setenv("CC", "there-is-no-such-compiler")
    assert large_measures().mismatched == 50_000
    status = kernel_status(build=True)
    assert not status.is_compiled
    assert "there-is-no-such-compiler" in status.reason


@needs_compiler
@pytest.mark.parametrize("method", ["exists", "stat"])
def test_a_cache_that_cannot_be_looked_at_is_done_without(monkeypatch, method):
    """A service whose HOME is somebody else's."""
    plain = getattr(Path, method)

    def refuse(path, *args, **options):
        if "kernels" in path.parts:
            raise PermissionError(errno.EACCES, "Permission denied", str(path))
        return plain(path, *args, **options)

    if method == "stat":
        built_kernel()
    monkeypatch.setattr(Path, method, refuse)
    assert large_measures().mismatched == 50_000
    status = kernel_status(build=True)
    assert not status.is_compiled
    assert "Permission denied" in status.reason


def test_a_compiler_that_fails_is_named_and_leaves_nothing(monkeypatch, tmp_path):
    monkeypatch.setenv("CC", compiler(tmp_path / "bad-cc", "echo no such flag >&2; exit 3"))
    assert large_measures().mismatched == 50_000
    assert "no such flag" in kernel_status(build=True).reason
    assert [path for path in (tmp_path / "cache").rglob("*") if path.is_file()] == []


def test_a_library_that_is_none_is_not_used(monkeypatch, tmp_path):
    script = 'while [ "$1" != -o ]; do shift; done; echo garbage > "$2"'
    monkeypatch.setenv("CC", compiler(tmp_path / "odd-cc", script))
    assert large_measures().mismatched == 50_000
    assert "cannot be loaded" in kernel_status(build=True).reason


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_cache_that_cannot_be_written(tmp_path):
    (tmp_path / "cache").mkdir(mode=0o500)
    assert large_measures().mismatched == 50_000


def test_a_cache_that_is_no_directory(monkeypatch, tmp_path):
    (tmp_path / "cache").write_text("")
    assert large_measures().mismatched == 50_000
    assert "not a directory" in kernel_status(build=True).reason.lower()


@needs_compiler
def test_code_that_others_may_write_is_not_run():
    path = built_kernel()
    path.chmod(0o722)
    with pytest.raises(KernelUnavailable, match="somebody else"):
        built_kernel()
    path.chmod(0o700)
    path.parent.chmod(0o770)
    assert not kernel_status(build=True).is_compiled


def test_another_word_in_the_switch_is_refused(monkeypatch):
    monkeypatch.setenv(SWITCH, "fast")
    with pytest.raises(InputError, match="OUTGROW_KERNEL"):
        find_kernel()


def child(code: str, **environment: str) -> subprocess.Popen:
    return subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(code)], env={**os.environ, **environment},
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip


BUILD = "from outgrow.compare.kernel.build import built_kernel; print(built_kernel())"


@needs_compiler
def test_what_a_killed_process_left_is_swept(tmp_path):
    left = kernel_path(find_compiler()).parent / ".build-killed"
    left.mkdir(parents=True, mode=0o700)
    (left / "measure.c").write_text("x")
    built_kernel()
    assert not left.exists()


@needs_compiler
def test_two_at_once_compile_once(monkeypatch, tmp_path):
    log = tmp_path / "log"
    slow = compiler(tmp_path / "slow-cc", f'echo run >> {log}; sleep 0.5; exec cc "$@"')
    running = [child(BUILD, CC=slow) for _ in range(2)]
    outputs = [process.communicate(timeout=60) for process in running]
    assert outputs[0][0] == outputs[1][0] != ""
    assert log.read_text().split() == ["run"]


def test_ctrl_c_while_it_compiles_leaves_nothing(tmp_path):
    started = tmp_path / "started"
    script = f"trap '' INT; echo part > \"$TMPDIR/part\"; touch {started}; sleep 30"
    process = child(BUILD, CC=compiler(tmp_path / "endless-cc", script))
    deadline = time.monotonic() + 30
    while not started.exists() and time.monotonic() < deadline:
        time.sleep(0.02)
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=10)
    assert "KeyboardInterrupt" in errors
    assert [path for path in (tmp_path / "cache").rglob("*") if path.is_file()] == []
