"""The interface of Neuro Exapt, for programs that were written for it; every name has a real effect here."""

__all__ = [
    "ACTION_NAMES",
    "CompoundOperator",
    "DeviceAwareAttentionOperator",
    "DeviceAwareBranchOperator",
    "DeviceAwareHybridOperator",
    "DynamicArchitecture",
    "EvolutionStep",
    "ExpandWithMI",
    "InformationBottleneck",
    "MutateDiscrete",
    "NeuroExapt",
    "PruneByEntropy",
    "StructuralEvolution",
    "StructuralOperator",
    "Trainer",
]

from outgrow.evolve.interface.dynamic_architecture import DynamicArchitecture
from outgrow.evolve.interface.evolution_step import EvolutionStep
from outgrow.evolve.interface.information_bottleneck import InformationBottleneck
from outgrow.evolve.interface.neuro_exapt import NeuroExapt
from outgrow.evolve.interface.structural_evolution import ACTION_NAMES, StructuralEvolution
from outgrow.evolve.interface.structural_operator import CompoundOperator, StructuralOperator
from outgrow.evolve.interface.structural_operators import (
    DeviceAwareAttentionOperator,
    DeviceAwareBranchOperator,
    DeviceAwareHybridOperator,
    ExpandWithMI,
    MutateDiscrete,
    PruneByEntropy,
)
from outgrow.evolve.interface.trainer import Trainer
