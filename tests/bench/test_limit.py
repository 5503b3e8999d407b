import sys

import pytest

from bench import limit


def python(code):
    return [sys.executable, "-c", code]


@pytest.fixture
def no_controllers(monkeypatch, tmp_path):
    monkeypatch.setattr(limit, "_V1", tmp_path / "none")
    monkeypatch.setattr(limit, "_V2", ())


@pytest.fixture
def cgroups():
    try:
        with limit.open_cgroup(1 << 30):
            pass
    except limit.LimitUnavailable as err:
        pytest.skip(str(err))


def test_refuses_without_rights_and_says_what_is_missing(no_controllers):
    with pytest.raises(limit.LimitUnavailable, match=r"no memory controller is mounted.*--unlimited"):
        limit.run_limited(python("pass"), limit_bytes=1 << 30)


def test_runs_unlimited_only_when_asked(no_controllers, capsys):
    ended = limit.run_limited(python("pass"), limit_bytes=1 << 30, allow_unlimited=True)
    assert ended.returncode == 0
    assert ended.limit_bytes is None
    assert ended.cgroup_peak_bytes is None
    assert "WITHOUT a memory limit" in capsys.readouterr().err


def test_unwritable_controller_is_named(monkeypatch, tmp_path):
    root = tmp_path / "memory"
    root.mkdir()
    (root / "memory.limit_in_bytes").write_text("1")
    monkeypatch.setattr(limit, "_V1", root)
    monkeypatch.setattr(limit, "_V2", ())
    monkeypatch.setattr(
        limit.Path, "mkdir", lambda *_, **__: (_ for _ in ()).throw(PermissionError(13, "Permission denied"))
    )
    with pytest.raises(limit.LimitUnavailable, match="memory: Permission denied"):
        limit.run_limited(python("pass"), limit_bytes=1 << 30)


def test_command_beyond_its_limit_is_killed_and_counted(cgroups):
    ended = limit.run_limited(python("x = bytearray(200 << 20)"), limit_bytes=64 << 20)
    assert ended.returncode == -9
    assert ended.oom_kills >= 1
    assert ended.cgroup_peak_bytes <= 64 << 20


def test_command_within_its_limit_reports_its_peaks(cgroups):
    ended = limit.run_limited(
        python("import time; x = bytearray(50 << 20); time.sleep(0.2)"), limit_bytes=512 << 20
    )
    assert ended.returncode == 0
    assert ended.limit_bytes == 512 << 20
    assert 50 << 20 < ended.peak_anon_bytes <= ended.cgroup_peak_bytes < 512 << 20


def test_cgroup_is_removed_with_what_runs_inside(cgroups):
    with limit.open_cgroup(1 << 30) as group:
        child = limit.subprocess.Popen(python("import time; time.sleep(60)"), preexec_fn=group.enter)
        assert group.path.exists()
    assert child.wait(10) == -9
    assert not group.path.exists()


def test_time_limit_ends_the_command():
    ended = limit.run_limited(python("import time; time.sleep(60)"), limit_bytes=None, timeout_seconds=0.2)
    assert ended.timed_out
    assert ended.seconds < 10


def test_quiet_keeps_the_last_words():
    code = "import sys; sys.stderr.write('a' * 5000 + 'the end'); sys.exit(3)"
    ended = limit.run_limited(python(code), limit_bytes=None, quiet=True)
    assert ended.returncode == 3
    assert ended.output_tail.endswith("the end")
    assert len(ended.output_tail) == 2000


def test_command_line_reports_and_passes_the_exit_code(capfd):
    arguments = ["--memory", "1GB", "--unlimited", "--", *python("import sys; sys.exit(7)")]
    assert limit.main(arguments) == 7
    assert "peak RssAnon" in capfd.readouterr().err


def test_unified_hierarchy_gets_its_controller_and_limit(monkeypatch, tmp_path):
    (tmp_path / "cgroup.controllers").write_text("cpu memory")
    (tmp_path / "cgroup.subtree_control").write_text("cpu")
    monkeypatch.setattr(limit, "_V1", tmp_path / "none")
    monkeypatch.setattr(limit, "_V2", (tmp_path,))
    group = limit._make(123 << 20)
    assert group.version == 2
    assert group.path.parent == tmp_path
    assert (group.path / "memory.max").read_text() == str(123 << 20)
    assert (tmp_path / "cgroup.subtree_control").read_text() == "+memory"
    (group.path / "memory.events").write_text("low 0\noom 3\noom_kill 2\n")
    assert group.oom_kills() == 2
    assert group.peak_bytes() is None
    (group.path / "memory.peak").write_text("77\n")
    assert group.peak_bytes() == 77
