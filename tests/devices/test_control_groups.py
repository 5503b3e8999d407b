from pathlib import Path

import pytest

from outgrow.devices.control_groups import cpu_quota, memory_levels


def make_tree(root: Path, files: dict[str, str]) -> Path:
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return root


VERSION_1 = {
    "proc/self/cgroup": "9:name=systemd:/\n4:memory:/jobs/a b\n2:cpuacct,cpu:/jobs\n0::/\n",
    "proc/self/mountinfo": (
        "31 23 0:28 / /sys/fs/cgroup rw - tmpfs tmpfs rw,mode=755\n"
        "32 31 0:29 / /sys/fs/cgroup/cpu rw,relatime - cgroup cgroup rw,cpu,cpuacct\n"
        "35 31 0:32 / /sys/fs/cgroup/memory rw,relatime shared:9 - cgroup cgroup rw,memory\n"
        "41 31 0:38 / /sys/fs/cgroup/unified rw,relatime - cgroup2 cgroup2 rw\n"
    ),
    "sys/fs/cgroup/memory/memory.limit_in_bytes": "9223372036854771712\n",
    "sys/fs/cgroup/memory/jobs/memory.limit_in_bytes": "1000\n",
    "sys/fs/cgroup/memory/jobs/a b/memory.limit_in_bytes": "2000\n",
    "sys/fs/cgroup/cpu/cpu.cfs_quota_us": "300000\n",
    "sys/fs/cgroup/cpu/cpu.cfs_period_us": "100000\n",
    "sys/fs/cgroup/cpu/jobs/cpu.cfs_quota_us": "150000\n",
    "sys/fs/cgroup/cpu/jobs/cpu.cfs_period_us": "100000\n",
}

VERSION_2 = {
    "proc/self/cgroup": "0::/user.slice/job.scope\n",
    "proc/self/mountinfo": "30 23 0:26 / /sys/fs/cgroup rw,nosuid - cgroup2 cgroup2 rw,nsdelegate\n",
    "sys/fs/cgroup/user.slice/memory.max": "5000\n",
    "sys/fs/cgroup/cpu.max": "900000 100000\n",
    "sys/fs/cgroup/user.slice/cpu.max": "200000 100000\n",
    "sys/fs/cgroup/user.slice/job.scope/memory.max": "max\n",
    "sys/fs/cgroup/user.slice/job.scope/cpu.max": "max 100000\n",
}


def directories(root):
    return [str(level.directory.relative_to(root)) for level in memory_levels(root)]


def test_version_1_lists_every_level_innermost_first(tmp_path):
    make_tree(tmp_path, VERSION_1)
    top = "sys/fs/cgroup/memory"
    assert directories(tmp_path) == [f"{top}/jobs/a b", f"{top}/jobs", top]
    assert memory_levels(tmp_path)[0].limits == ("memory.limit_in_bytes",)


def test_version_2_lists_every_level_that_has_the_controller(tmp_path):
    make_tree(tmp_path, VERSION_2)
    top = "sys/fs/cgroup/user.slice"
    assert directories(tmp_path) == [f"{top}/job.scope", top]
    assert memory_levels(tmp_path)[0].limits == ("memory.max", "memory.high")


def test_a_container_that_sees_only_its_own_part_uses_the_mount_itself(tmp_path):
    """Docker with version 1: the path is the host's, the mount's root is the container's group."""
    make_tree(
        tmp_path,
        {
            "proc/self/cgroup": "4:memory:/docker/abc/inner\n",
            "proc/self/mountinfo": "35 31 0:32 /docker/abc /sys/fs/cgroup/memory ro - cgroup c rw,memory\n",
            "sys/fs/cgroup/memory/memory.limit_in_bytes": "1000\n",
            "sys/fs/cgroup/memory/inner/memory.limit_in_bytes": "500\n",
        },
    )
    assert directories(tmp_path) == ["sys/fs/cgroup/memory/inner", "sys/fs/cgroup/memory"]


@pytest.mark.parametrize("path", ["/elsewhere/x", "/../outside"])
def test_a_path_outside_the_mount_falls_back_to_the_mount(tmp_path, path):
    make_tree(
        tmp_path,
        {
            "proc/self/cgroup": f"0::{path}\n",
            "proc/self/mountinfo": "30 23 0:26 /pods/p /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n",
            "sys/fs/cgroup/memory.max": "1000\n",
        },
    )
    assert directories(tmp_path) == ["sys/fs/cgroup"]


def test_a_mount_point_with_a_blank_is_unescaped(tmp_path):
    make_tree(
        tmp_path,
        {
            "proc/self/cgroup": "0::/\n",
            "proc/self/mountinfo": "30 23 0:26 / /sys/my\\040groups rw - cgroup2 cgroup2 rw\n",
            "sys/my groups/memory.max": "1000\n",
        },
    )
    assert directories(tmp_path) == ["sys/my groups"]


@pytest.mark.parametrize("junk", ["", "nonsense\n", "::\n", "4:memory\n", "\x00\xff"], ids=repr)
def test_junk_and_absence_mean_no_levels(tmp_path, junk):
    assert memory_levels(tmp_path) == ()
    make_tree(tmp_path, {"proc/self/cgroup": junk, "proc/self/mountinfo": junk})
    assert memory_levels(tmp_path) == ()
    assert cpu_quota(tmp_path) is None


def test_quota_of_version_1_is_the_tightest_and_minus_one_is_none(tmp_path):
    assert cpu_quota(make_tree(tmp_path, VERSION_1)) == 1.5
    unlimited = {name: "-1\n" for name in VERSION_1 if name.endswith("cpu.cfs_quota_us")}
    assert cpu_quota(make_tree(tmp_path, unlimited)) is None


def test_quota_of_version_2_is_the_tightest_and_max_is_none(tmp_path):
    assert cpu_quota(make_tree(tmp_path, VERSION_2)) == 2.0
