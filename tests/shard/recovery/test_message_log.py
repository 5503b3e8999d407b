"""The log of messages: what is kept, what is run again, who was answered."""

from hypothesis import given
from hypothesis import strategies as st

from outgrow.shard.recovery.message_log import Entry, MessageLog


def filled(kinds, session=1):
    """One entry for each letter: d(efinition), q(uestion), c(all), e(nd)."""
    log = MessageLog()
    for seq, kind in enumerate(kinds):
        entry = Entry(
            seq=seq,
            session=session,
            frames=kind,
            nbytes=10,
            is_definition=kind == "d",
            is_question=kind == "q",
            is_end=kind == "e",
        )
        log.append(entry, request=seq if kind == "q" else None)
    return log


def seqs(entries):
    return [entry.seq for entry in entries]


def test_discarding_keeps_definitions():
    log = filled("dcdcc")
    log.discard(4)
    assert seqs(log.definitions()) == [0, 2]
    assert seqs(log.replay()) == [4]
    assert log.nbytes == 30


def test_questions_that_were_answered_are_not_asked_again():
    log = filled("cqcqc")
    assert log.answered(1, 1)
    assert seqs(log.replay()) == [0, 2, 3, 4]
    assert log.waiting() == [(1, 3)]


def test_a_second_answer_is_not_passed_on():
    log = filled("q")
    assert log.answered(1, 0)
    assert not log.answered(1, 0)


def test_a_question_before_a_checkpoint_is_still_answered_once():
    log = filled("qc")
    log.discard(1)
    assert log.answered(1, 0)
    assert not log.answered(1, 0)


def test_of_a_session_that_is_over_only_its_end_is_run():
    log = filled("dcqce")
    log.close(1)
    assert seqs(log.replay()) == [4]
    assert log.waiting() == []
    log.discard(5)
    assert seqs(log.definitions()) == []
    assert log.nbytes == 0


def test_other_sessions_go_on_when_one_is_over():
    log = filled("dc", session=1)
    log.append(Entry(seq=2, session=2, frames="c", nbytes=10))
    log.close(1)
    assert seqs(log.replay()) == [2]


def test_decisions_made_before_a_checkpoint_are_in_it():
    log = filled("cccc")
    log.decided(1, 1, "early")
    log.decided(1, 3, "late")
    assert list(log.decisions()) == [(1, "early"), (1, "late")]
    log.discard(2)
    assert list(log.decisions()) == [(1, "late")]


@given(st.text("dqce", max_size=30), st.integers(0, 30), st.sets(st.integers(0, 30)))
def test_definitions_and_what_is_run_again_are_apart_and_in_order(kinds, before, answered):
    log = filled(kinds)
    for request in answered & {seq for seq, kind in enumerate(kinds) if kind == "q"}:
        log.answered(1, request)
    log.discard(before)
    first, then = seqs(log.definitions()), seqs(log.replay())
    assert first == [seq for seq, kind in enumerate(kinds) if kind == "d" and seq < before]
    assert then == [
        seq for seq, kind in enumerate(kinds) if seq >= before and not (kind == "q" and seq in answered)
    ]
    assert log.nbytes == 10 * len(set(first) | set(range(before, len(kinds))))
