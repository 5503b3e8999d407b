"""A session of simulated workers for each test, and signals that are forgotten after it."""

import pytest

from outgrow.shard.client.session import Session, use_session
from outgrow.shard.engines.simulated import SimulatedLink
from outgrow.shard.signals import get_config


@pytest.fixture(params=[1, 3], ids=lambda workers: f"{workers} workers")
def workers(request):
    return request.param


@pytest.fixture(autouse=True)
def _no_signals_of_others():
    # A page of the docs that ran in this process may have loaded some.
    get_config().clear()


@pytest.fixture
def session(workers):
    link = SimulatedLink(workers)
    with use_session(Session(link)) as opened:
        yield opened
        get_config().clear()
    link.close()
