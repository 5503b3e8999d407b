"""Reading must not start thread pools of torch's, which would take the model's cores from it."""

import os
import subprocess
import sys

PROGRAM = """
import os, sys, torch
from outgrow import stream

def threads():
    return len(os.listdir("/proc/self/task"))

torch.set_num_threads(2)
model = torch.nn.Sequential(*(torch.nn.Linear(1024, 1024, dtype=torch.bfloat16) for _ in range(8)))
config = stream.Config(storage_path=sys.argv[1], budget="6MB", num_io_threads=4)
with torch.no_grad():
    model(torch.ones(1, 1024, dtype=torch.bfloat16))
    before = threads()
    stream.offload(model, config)
    stream.set_budget(model, "14MB")
    model(torch.ones(1, 1024, dtype=torch.bfloat16))
    if sys.argv[2] == "cast":
        model.float()
        stream.set_budget(model, "40MB")
        model(torch.ones(1, 1024))
print(threads() - before)
"""


def test_io_threads_start_no_threads(tmp_path):
    """Four readers are four threads more, whether they copy weights into memory for good or cast them."""
    for kind in ("copy", "cast"):
        command = [sys.executable, "-c", PROGRAM, str(tmp_path / kind), kind]
        done = subprocess.run(command, capture_output=True, text=True, check=True, env=_two_threads())
        assert int(done.stdout) == 4, (kind, done.stdout)


def _two_threads():
    return {name: value for name, value in os.environ.items() if not name.endswith("_NUM_THREADS")}
