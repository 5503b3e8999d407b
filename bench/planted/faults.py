"""All kinds of faults, by name."""

__all__ = ["FAULTS"]

from bench.planted.fault import Needs
from bench.planted.faults_of_options import OPTION_FAULTS, Plant
from bench.planted.faults_of_tensors import TENSOR_FAULTS
from bench.planted.faults_of_weights import WEIGHT_FAULTS

FAULTS: dict[str, tuple[Plant, Needs]] = {**OPTION_FAULTS, **TENSOR_FAULTS, **WEIGHT_FAULTS}
