"""Growing training runs: a loop, a policy, a log, and a state that survives being killed."""

__all__ = [
    "MODELS",
    "POLICY_NAMES",
    "LossNotFinite",
    "Replayed",
    "RunConfiguration",
    "RunResult",
    "grow",
    "read_log",
    "read_run",
    "replay_run",
]

from outgrow.evolve.run.configuration import RunConfiguration
from outgrow.evolve.run.growing_run import RunResult, grow
from outgrow.evolve.run.models import MODELS
from outgrow.evolve.run.policy_choice import POLICY_NAMES
from outgrow.evolve.run.run_folder import read_log, read_run
from outgrow.evolve.run.training import LossNotFinite
from outgrow.evolve.run.verification import Replayed, replay_run
