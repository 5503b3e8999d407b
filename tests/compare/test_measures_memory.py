"""Memory does not grow with the tensors, whatever their strides: each in a process of its own."""

import subprocess
import sys
import textwrap

import pytest

BODY = """
import resource, torch
from outgrow.compare.measures import measure

numbers = torch.zeros(50_000_000 // 4096, 4096)  # 200 MB
numbers[7, 11] = 1.0
measure(numbers[:64].t(), numbers[:64].t())
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
found = measure({actual}, {expected})
print(found.mismatched, (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) // 1024)
"""


@pytest.mark.parametrize("kernel", ["auto", "torch"])
@pytest.mark.parametrize(
    ("actual", "expected", "mismatched"),
    [
        ("numbers[:4096].t()", "numbers[:4096].t()", 0),
        ("numbers[:1, :1].expand(1 << 18, 64)", "torch.ones(1, 1).expand(1 << 18, 64)", 1 << 24),
        ("numbers", "numbers.as_strided(numbers.shape, (4096, 1))", 0),
    ],
    ids=["transposed", "expanded", "in one piece"],
)
def test_memory_is_constant(kernel, actual, expected, mismatched, monkeypatch):
    monkeypatch.setenv("OUTGROW_KERNEL", kernel)
    code = textwrap.dedent(BODY).format(actual=actual, expected=expected)
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    counted, extra = map(int, done.stdout.split())
    assert counted == mismatched
    assert extra < 100
