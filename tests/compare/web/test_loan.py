"""A comparison is closed when it was replaced and the last reader has left, and not a moment before."""

import pytest

from outgrow.compare.web.loan import Loan
from outgrow.compare.web.refusal import ApiError


class Closing:
    """Counts how often it was closed."""

    def __init__(self):
        self.closed = 0

    def close(self):
        self.closed += 1


def test_a_reader_keeps_it_open():
    comparison = Closing()
    loan = Loan(comparison)

    def read():
        with loan.reading() as found, loan.reading():
            loan.retire()
            assert found is comparison
            assert comparison.closed == 0

    with pytest.raises(ApiError) as caught:
        read()
    assert comparison.closed == 1
    assert (caught.value.status, caught.value.code) == (409, "gone")


def test_nobody_is_let_in_after_it_was_retired():
    comparison = Closing()
    loan = Loan(comparison)
    loan.retire()
    loan.retire()
    assert comparison.closed == 1
    with pytest.raises(ApiError), loan.reading():
        raise AssertionError
    assert comparison.closed == 1


def test_an_error_of_a_reader_is_told_and_gives_it_back():
    comparison = Closing()
    loan = Loan(comparison)
    with pytest.raises(KeyError), loan.reading():
        raise KeyError
    with loan.reading():
        pass
    assert comparison.closed == 0

    def read():
        with loan.reading():
            loan.retire()
            raise KeyError

    with pytest.raises(KeyError):
        read()
    assert comparison.closed == 1
