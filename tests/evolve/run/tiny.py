"""A run that takes a second: a tiny net, few pictures, and a policy that widens what comes next."""

from outgrow.evolve.policies.policy import Candidate, Decision
from outgrow.evolve.run import RunConfiguration

SCRIPT = """
from torch import nn

def make(channels, classes):
    return nn.Sequential(
        nn.Flatten(), nn.Linear(64 * channels, 6), nn.BatchNorm1d(6), nn.ReLU(), nn.Dropout(0.1),
        nn.Linear(6, classes),
    )
"""


class Widening:
    """Widens the first layer by two, each time."""

    def decide(self, situation):
        number = len(situation.history)
        return Decision(
            candidate=Candidate(operator="widen", site="1", arguments={"by": 2}),
            reason=f"change {number}",
            flops=1000.0,
        )


def configuration(folder, **changes):
    script = folder / "nets.py"
    script.write_text(SCRIPT)
    given = {
        "data": "digits",
        "train": 200,
        "model": f"{script}:make",
        "policy": "uniform",
        "budget_flops": 3e6,
        "decisions": 3,
        "evaluations": 5,
        "batch_size": 16,
        "learning_rate": 0.01,
    }
    return RunConfiguration(**{**given, **changes})
