"""A process that begins a run and is killed with SIGKILL at the events that it is told; then goes on."""

import importlib
import os
import signal
import sys
from pathlib import Path

from outgrow.evolve.run import grow
from outgrow.evolve.run.training import Training
from tests.evolve.run.tiny import Widening, configuration


def count_down(events):
    """Kill this process at the event number `events`: a step, a sync or a rename."""
    left = [events]

    def hooked(function):
        def call(*args, **kwargs):
            left[0] -= 1
            if left[0] == 0:
                os.kill(os.getpid(), signal.SIGKILL)
            return function(*args, **kwargs)

        return call

    Training.step = hooked(Training.step)
    os.fsync, os.replace, os.rename = hooked(os.fsync), hooked(os.replace), hooked(os.rename)


def main(folder, points):
    # Loaded once, here, and not by every child.
    for name in ("sklearn.datasets", "torch._dynamo", "torch.export"):
        importlib.import_module(name)
    for events in [*points, 0]:
        child = os.fork()
        if child == 0:
            count_down(events)
            grow(configuration(folder), folder / "run", policy=Widening(), checkpoint_seconds=0.0)
            os._exit(0)
        _, status = os.waitpid(child, 0)
        code = os.WTERMSIG(status) if os.WIFSIGNALED(status) else os.WEXITSTATUS(status)
        sys.stdout.write(f"{code}\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main(Path(sys.argv[1]), [int(word) for word in sys.argv[2:]])
