import os
import platform

import pytest
import torch

from outgrow.devices import take_inventory
from outgrow.devices.inventory import read_cpu, read_gpus


def test_inventory_names_this_machine():
    found = take_inventory()
    assert found.python == platform.python_version()
    assert found.torch == torch.__version__
    assert found.cpu.usable >= 1
    assert found.memory.limit > 0
    assert len(found.gpus) == torch.cuda.device_count()


@pytest.mark.parametrize(
    ("cpuinfo", "expected"),
    [
        ("processor: 0\nmodel name\t: Fast CPU 3000\n", "Fast CPU 3000"),
        ("processor: 0\nBogoMIPS: 1\nModel\t\t: Small Board 5\n", "Small Board 5"),
        ("processor: 0\nmodel name:\n", platform.processor() or platform.machine()),
    ],
    ids=["x86", "arm", "nameless"],
)
def test_cpu_names_itself(tmp_path, cpuinfo, expected):
    (tmp_path / "proc").mkdir()
    (tmp_path / "proc/cpuinfo").write_text(cpuinfo)
    assert read_cpu(tmp_path).model == expected


@pytest.mark.parametrize(
    ("quota", "expected"), [("50000", 1), ("100000", 1), ("max", None)], ids=["half", "one", "no limit"]
)
def test_quota_bounds_the_usable_cpus(tmp_path, quota, expected):
    files = {
        "proc/self/cgroup": "0::/\n",
        "proc/self/mountinfo": "30 23 0:26 / /groups rw - cgroup2 cgroup2 rw\n",
        "groups/cpu.max": f"{quota} 100000\n",
    }
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    cpu = read_cpu(tmp_path)
    assert cpu.count == os.cpu_count()
    assert cpu.usable == (expected or len(os.sched_getaffinity(0)))


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_no_gpu_is_an_empty_list():
    assert read_gpus() == ()


@pytest.mark.gpu
def test_gpu_has_a_name_and_memory():
    gpu = read_gpus()[0]
    assert gpu.name
    assert gpu.total_bytes > 1 << 30
