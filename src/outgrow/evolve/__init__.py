"""Networks that grow and shrink while they train, exactly.

The second half of the names is Neuro Exapt's, for programs that were written for it.
"""

__all__ = [
    "AttentionPolicyNetwork",
    "CompoundOperator",
    "DeviceAwareAttentionOperator",
    "DeviceAwareBranchOperator",
    "DeviceAwareHybridOperator",
    "DynamicArchitecture",
    "Edit",
    "EvolutionStep",
    "ExpandWithMI",
    "Experience",
    "ExperienceBuffer",
    "Fork",
    "InformationBottleneck",
    "MutateDiscrete",
    "NeuroExapt",
    "PruneByEntropy",
    "Site",
    "StructuralEvolution",
    "StructuralOperator",
    "Trainer",
    "Transaction",
    "apply",
    "branch",
    "deepen",
    "hybrid",
    "insert_attention",
    "load",
    "mutate",
    "paired_forks",
    "prune",
    "save",
    "sites",
    "transaction",
    "widen",
]

from outgrow.evolve.archive import load, save
from outgrow.evolve.edits.edit import Edit
from outgrow.evolve.edits.replay import apply
from outgrow.evolve.interface import (
    CompoundOperator,
    DeviceAwareAttentionOperator,
    DeviceAwareBranchOperator,
    DeviceAwareHybridOperator,
    DynamicArchitecture,
    EvolutionStep,
    ExpandWithMI,
    InformationBottleneck,
    MutateDiscrete,
    NeuroExapt,
    PruneByEntropy,
    StructuralEvolution,
    StructuralOperator,
    Trainer,
)
from outgrow.evolve.operators.branch import branch
from outgrow.evolve.operators.deepen import deepen
from outgrow.evolve.operators.hybrid import hybrid
from outgrow.evolve.operators.insert_attention import insert_attention
from outgrow.evolve.operators.mutate import mutate
from outgrow.evolve.operators.prune import prune
from outgrow.evolve.operators.widen import widen
from outgrow.evolve.policies.attention_network import AttentionPolicyNetwork
from outgrow.evolve.policies.experience import Experience, ExperienceBuffer
from outgrow.evolve.sites.finding import sites
from outgrow.evolve.sites.site import Site
from outgrow.evolve.transactions.fork import Fork, paired_forks
from outgrow.evolve.transactions.transaction import Transaction, transaction
