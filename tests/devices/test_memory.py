import os
import sys
import time
from pathlib import Path

import pytest

from outgrow.devices import MemoryGauge, MemoryState, memory_state

GIBIBYTE = 1 << 30
MEMINFO = f"MemTotal: {16 * GIBIBYTE // 1024} kB\nMemFree: 1 kB\nMemAvailable: {10 * GIBIBYTE // 1024} kB\n"


def group_tree(root: Path, version: int, levels: dict[str, tuple[str, int, int]]) -> Path:
    """A machine of 16 GiB, 10 available; `levels` maps paths to limit, usage and page cache in bytes."""
    names = {
        1: ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file", "total_active_file"),
        2: ("memory.max", "memory.current", "inactive_file", "active_file"),
    }[version]
    kind = "cgroup cgroup rw,memory" if version == 1 else "cgroup2 cgroup2 rw"
    deepest = max(levels, key=len)
    files = {
        "proc/meminfo": MEMINFO,
        "proc/self/cgroup": f"4:memory:/{deepest}\n" if version == 1 else f"0::/{deepest}\n",
        "proc/self/mountinfo": f"35 31 0:32 / /groups rw - {kind}\n",
    }
    for path, (limit, usage, cache) in levels.items():
        files[f"groups/{path}/{names[0]}"] = f"{limit}\n"
        files[f"groups/{path}/{names[1]}"] = f"{usage}\n"
        files[f"groups/{path}/memory.stat"] = f"anon 5\n{names[2]} {cache - 1}\n{names[3]} 1\n"
    for name, text in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    return root


def test_without_groups_the_machine_is_the_limit(tmp_path):
    (tmp_path / "proc").mkdir()
    (tmp_path / "proc/meminfo").write_text(MEMINFO)
    assert memory_state(tmp_path) == MemoryState(
        limit=16 * GIBIBYTE, used=6 * GIBIBYTE, available=10 * GIBIBYTE
    )


@pytest.mark.parametrize("version", [1, 2])
def test_a_group_limits_and_its_page_cache_counts_as_available(tmp_path, version):
    root = group_tree(tmp_path, version, {"job": (str(2 * GIBIBYTE), 2 * GIBIBYTE, GIBIBYTE)})
    state = memory_state(root)
    assert state == MemoryState(limit=2 * GIBIBYTE, used=GIBIBYTE, available=GIBIBYTE)
    assert state.share_available == 0.5


@pytest.mark.parametrize("version", [1, 2])
def test_the_tightest_level_on_the_path_counts(tmp_path, version):
    limits = {"": ("max", 0, 1), "pod": (str(GIBIBYTE), 100, 1), "pod/job": (str(4 * GIBIBYTE), 50, 1)}
    if version == 1:
        limits[""] = ("9223372036854771712", 0, 1)
    state = memory_state(group_tree(tmp_path, version, limits))
    assert state == MemoryState(limit=GIBIBYTE, used=99, available=GIBIBYTE - 99)


def test_a_full_outer_level_leaves_nothing_even_where_the_inner_limit_is_lower(tmp_path):
    levels = {"pod": (str(2 * GIBIBYTE), 2 * GIBIBYTE, 1), "pod/job": (str(GIBIBYTE), 1000, 1)}
    state = memory_state(group_tree(tmp_path, 2, levels))
    assert (state.limit, state.available) == (GIBIBYTE, 1)


def test_a_machine_with_less_left_than_the_group_allows_counts(tmp_path):
    state = memory_state(group_tree(tmp_path, 2, {"job": (str(12 * GIBIBYTE), 1, 1)}))
    assert (state.limit, state.available) == (12 * GIBIBYTE, 10 * GIBIBYTE)


def test_a_limit_set_while_the_program_runs_is_seen(tmp_path):
    root = group_tree(tmp_path, 2, {"job": ("max", 100, 1)})
    gauge = MemoryGauge(root)
    assert gauge.read().limit == 16 * GIBIBYTE
    (root / "groups/job/memory.max").write_text(f"{GIBIBYTE}\n")
    assert gauge.read().limit == GIBIBYTE


def test_a_level_that_slows_processes_down_counts_as_a_limit(tmp_path):
    root = group_tree(tmp_path, 2, {"job": (str(2 * GIBIBYTE), 1, 1)})
    (root / "groups/job/memory.high").write_text("max\n")
    assert memory_state(root).limit == 2 * GIBIBYTE
    (root / "groups/job/memory.high").write_text(f"{GIBIBYTE}\n")
    assert memory_state(root).limit == GIBIBYTE


def test_usage_beyond_the_limit_leaves_nothing_and_is_never_negative(tmp_path):
    state = memory_state(group_tree(tmp_path, 1, {"job": ("1000", 5000, 1)}))
    assert (state.available, state.share_available) == (0, 0.0)


def test_a_tree_that_tells_nothing_is_the_systems_own_figure(tmp_path):
    assert memory_state(tmp_path).limit == os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_this_machine_has_memory_and_a_reading_is_cheap():
    gauge = MemoryGauge()
    state = gauge.read()
    assert 0 < state.available <= state.limit
    samples = []
    for _ in range(200):
        started = time.perf_counter()
        gauge.read()
        samples.append(time.perf_counter() - started)
    # About 50 µs; the bound is loose because the tests share the machine.
    assert min(samples) < 1e-3
