"""The log of messages: what is kept and what is run again."""

import os

from hypothesis import given
from hypothesis import strategies as st

from outgrow.shard.recovery.message_log import Logged, MessageLog


def logged(seq, kind, session=1, **fields):
    return Logged(
        seq=seq,
        session=session,
        kind=kind,
        payload=b"",
        nbytes=10,
        is_definition=kind == "d",
        is_question=kind == "q",
        is_end=kind == "e",
        **fields,
    )


def filled(kinds, session=1):
    """One entry for each letter: `d` definition, `q` question, `c` call, `e` end."""
    log = MessageLog()
    for seq, kind in enumerate(kinds):
        log.append(logged(seq, kind, session))
    return log


def seqs(entries):
    return [entry.seq for entry in entries]


def again(log, waiting=()):
    return seqs(log.replay(lambda seq: seq in waiting))


def test_discarding_keeps_definitions():
    log = filled("dcdcc")
    log.discard(4)
    assert seqs(log.definitions()) == [0, 2]
    assert again(log) == [4]
    assert log.nbytes == 30


def test_only_questions_that_wait_are_asked_again():
    log = filled("cqcqc")
    assert again(log, waiting={3}) == [0, 2, 3, 4]


def test_of_a_session_that_is_over_only_its_end_is_run():
    log = filled("dcqce")
    assert again(log, waiting={2}) == [4]
    log.discard(5)
    assert log.definitions() == []
    assert log.nbytes == 0


def test_the_definitions_of_a_session_go_with_it():
    log = filled("dc")
    log.discard(2)
    log.append(logged(2, "e"))
    assert log.definitions() == []
    assert log.nbytes == 10


def test_other_sessions_go_on_when_one_is_over():
    log = filled("dce", session=1)
    log.append(logged(3, "c", session=2))
    assert again(log) == [2, 3]


def test_decisions_made_before_a_checkpoint_are_in_it():
    log = filled("cccc")
    log.decided(1, 1, "early")
    log.decided(1, 3, "late")
    assert log.decisions() == {1: ["early", "late"]}
    log.discard(2)
    assert log.decisions() == {1: ["late"]}
    log.append(logged(4, "e"))
    log.decided(1, 4, "too late")
    assert log.decisions() == {}


def test_files_are_closed_with_their_message():
    def is_open(file):
        try:
            os.fstat(file)
        except OSError:
            return False
        return True

    files = [os.memfd_create("test") for _ in range(3)]
    log = MessageLog()
    for seq, file in enumerate(files):
        log.append(logged(seq, "c", files=(file,)))
    log.discard(1)
    assert [is_open(file) for file in files] == [False, True, True]
    log.close()
    assert not any(is_open(file) for file in files)


@given(st.text("dqc", max_size=30), st.integers(0, 30), st.sets(st.integers(0, 30)))
def test_definitions_and_what_is_run_again_are_apart_and_in_order(kinds, before, waiting):
    log = filled(kinds)
    log.discard(before)
    first = seqs(log.definitions())
    assert first == [seq for seq, kind in enumerate(kinds) if kind == "d" and seq < before]
    assert again(log, waiting) == [
        seq for seq, kind in enumerate(kinds) if seq >= before and (kind != "q" or seq in waiting)
    ]
    assert log.nbytes == 10 * len(set(first) | set(range(before, len(kinds))))
