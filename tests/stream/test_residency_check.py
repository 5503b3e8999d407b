"""What is broken in the window's state machine is found by its own check."""

import pytest

from outgrow.stream.residency import State, Ticket
from tests.stream.driven_residency import load, machine


def broken_machine():
    """Piece 0 in use, 1 and 2 ahead of it."""
    residency = machine()
    load(residency, residency.start())
    ticket, _ = residency.need(0)
    residency.use(ticket)
    residency.check()
    return residency, ticket


def share_a_ticket(residency, ticket):
    residency._doomed.add(ticket)


def lose_memory(residency, ticket):
    residency.ring.give_back(ticket.begin)


def use_too_early(residency, ticket):
    residency.use(residency.ahead[0])


def revive(residency, ticket):
    residency._held.discard(ticket)
    residency._doomed.add(ticket)


def wait_with_memory(residency, ticket):
    residency._waiting.append(Ticket(3, state=State.READY))


def hold_nothing(residency, ticket):
    ticket.state = State.GONE


def skip_a_piece(residency, ticket):
    residency._next = 0


def look_too_far(residency, ticket):
    residency.lookahead = 1


@pytest.mark.parametrize(
    ("harm", "says"),
    [
        (share_a_ticket, "a ticket is in two places"),
        (lose_memory, "memory and tickets differ"),
        (use_too_early, "a bad ticket is ahead"),
        (revive, "a live ticket is doomed"),
        (wait_with_memory, "a ticket waits with memory"),
        (hold_nothing, "a ticket is held without memory"),
        (skip_a_piece, "out of order"),
        (look_too_far, "too far ahead"),
    ],
)
def test_check_finds_what_is_broken(harm, says):
    residency, ticket = broken_machine()
    harm(residency, ticket)
    with pytest.raises(AssertionError, match=f"^{says}"):
        residency.check()


def test_check_finds_what_was_fetched_although_nothing_may_be():
    residency = machine(lookahead=1)
    load(residency, residency.start())
    residency.lookahead = 0
    with pytest.raises(AssertionError, match="too far ahead"):
        residency.check()
