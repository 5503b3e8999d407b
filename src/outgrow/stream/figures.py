"""What a stream tells of itself."""

__all__ = ["StreamFigures"]

import torch

from outgrow.stream.account import Account
from outgrow.stream.installation import Installation
from outgrow.stream.loader_counts import LoaderCounts
from outgrow.stream.plan import Plan
from outgrow.stream.whole import WeightFiles


class StreamFigures:
    """Plan, memory, files and counts of the installation that a stream keeps."""

    _installed: Installation

    @property
    def plan(self) -> Plan:
        """What stays and what streams now."""
        return self._installed.plan

    @property
    def account(self) -> Account:
        """Memory that weights take."""
        return self._installed.account

    @property
    def files(self) -> WeightFiles:
        """The files, as they were opened."""
        return self._installed.files

    @property
    def budget_bytes(self) -> int:
        """The budget given."""
        return self._installed.budget_bytes

    @property
    def effective_bytes(self) -> int:
        """The budget that the plan keeps now; below the one given while memory is short outside."""
        return self._installed.effective_bytes

    @property
    def replans(self) -> int:
        """How often the plan was made anew."""
        return self._installed.replans

    @property
    def device(self) -> torch.device:
        """Where the model computes."""
        return self._installed.resources.backend.device

    @property
    def misses(self) -> int:
        """Pieces that nobody had fetched when they were needed."""
        return self._installed.resources.misses

    @property
    def wasted(self) -> int:
        """Pieces that were fetched and not used."""
        return self._installed.resources.wasted

    def counts(self) -> LoaderCounts:
        """What was read and waited for since the beginning."""
        return self._installed.resources.counts()
