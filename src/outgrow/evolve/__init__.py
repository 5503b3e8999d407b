"""Networks that grow and shrink while they train, exactly."""

__all__ = [
    "Edit",
    "Fork",
    "Site",
    "Transaction",
    "apply",
    "hybrid",
    "load",
    "paired_forks",
    "prune",
    "save",
    "sites",
    "transaction",
    "widen",
]

from outgrow.evolve.archive import load, save
from outgrow.evolve.edit import Edit
from outgrow.evolve.fork import Fork, paired_forks
from outgrow.evolve.operators.hybrid import hybrid
from outgrow.evolve.operators.prune import prune
from outgrow.evolve.operators.widen import widen
from outgrow.evolve.replay import apply
from outgrow.evolve.site import Site
from outgrow.evolve.sites import sites
from outgrow.evolve.transaction import Transaction, transaction
