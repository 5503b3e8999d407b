"""What is done when a model dies is done, whatever comes in between."""

import gc
import signal
import time

import pytest
from torch import nn

from outgrow.stream.farewell import Farewell


@pytest.fixture(autouse=True)
def _answers_to_ctrl_c():
    # Shells start what runs in the background with SIGINT ignored.
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    # Python forgets what these raise, too, and hypothesis has one; nor may it come while others' garbage
    # is taken away, whose callbacks would swallow it.
    callbacks, gc.callbacks[:] = list(gc.callbacks), []
    gc.collect()
    gc.freeze()
    yield
    gc.unfreeze()
    gc.callbacks[:] = callbacks
    signal.signal(signal.SIGINT, before)


class Model(nn.Module):
    def __init__(self, *, in_cycle):
        super().__init__()
        if in_cycle:
            self.__dict__["itself"] = self


@pytest.mark.parametrize("in_cycle", [False, True])
def test_it_is_said_once(in_cycle):
    said = []
    farewell = Farewell(model := Model(in_cycle=in_cycle), lambda: said.append("farewell"))
    assert farewell.is_pending
    assert not said
    del model
    gc.collect()
    assert said == ["farewell"]
    assert not farewell.is_pending


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize("in_cycle", [False, True])
def test_ctrl_c_within_the_callback_is_given_again(in_cycle):
    said = []

    def act():
        said.append("farewell")
        if len(said) == 1:
            raise KeyboardInterrupt

    farewell = Farewell(model := Model(in_cycle=in_cycle), act)
    with pytest.raises(KeyboardInterrupt):  # noqa: PT012 - it comes at some moment after the first line
        del model
        gc.collect()
        for _ in range(200):
            time.sleep(0.1)
    assert said == ["farewell", "farewell"]
    assert not farewell.is_pending


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_an_error_is_no_ctrl_c():
    said = []

    def act():
        said.append("farewell")
        raise OSError

    _ = Farewell(model := Model(in_cycle=False), act)
    del model
    time.sleep(0.2)
    assert said == ["farewell"]


def test_a_detached_one_says_nothing():
    said = []
    farewell = Farewell(model := Model(in_cycle=False), lambda: said.append("farewell"))
    assert farewell.detach() is model
    assert not farewell.is_pending
    del model
    assert not said
