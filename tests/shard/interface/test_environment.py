"""Variables of the environment are checked, and each says what it does."""

from pathlib import Path

import pytest

from outgrow.errors import InputError
from outgrow.shard.environment import VARIABLES, Environment

PREDECESSORS = [
    *("GT_AUTO_SHARD", "GT_CONFIG", "GT_INSTRUCTION_LOG", "GT_BACKEND", "GT_VERBOSE", "GT_DEBUG_CLIENT"),
    *("GT_DEBUG_DISPATCHER", "GT_DEBUG_WORKER", "GT_DEBUG_COMPILE", "GT_AUTO_COMPILE", "GT_HOTPATH_WINDOW"),
    *("GT_HOTPATH_THRESHOLD", "GT_HOTPATH_MIN_SEQ"),
]


@pytest.mark.parametrize("name", PREDECESSORS)
def test_the_predecessors_variables_are_known(name):
    assert VARIABLES[name].effect


def test_an_empty_environment_asks_for_nothing():
    assert Environment.read({}) == Environment()
    assert Environment.read({"GT_WORKERS": "", "GT_AUTO_SHARD": "0"}) == Environment()


def test_everything_is_read():
    found = Environment.read(
        {
            "GT_WORKERS": "8",
            "GT_AUTO_SHARD": "1",
            "GT_WORKER_MEMORY": "60MB",
            "GT_CONFIG": "signals.yaml",
            "GT_INSTRUCTION_LOG": "log.jsonl",
            "GT_VERBOSE": "true",
            "GT_DEBUG_CLIENT": "1",
            "GT_DEBUG_DISPATCHER": "1",
            "GT_DEBUG_WORKER": "1",
            "GT_DEBUG_COMPILE": "1",
            "GT_AUTO_COMPILE": "1",
            "GT_BACKEND": "numpy",
            "GT_HOTPATH_WINDOW": "99",
        }
    )
    assert found == Environment(
        workers=8,
        shards_automatically=True,
        worker_memory_bytes=60_000_000,
        config=Path("signals.yaml"),
        instruction_log=Path("log.jsonl"),
        is_verbose=True,
        debugs_client=True,
        debugs_compile=True,
    )


@pytest.mark.parametrize(
    ("variables", "gpus", "asked", "expected"),
    [
        ({}, 0, None, 1),
        ({}, 4, None, 1),
        ({}, 0, 3, 3),
        ({"GT_AUTO_SHARD": "1"}, 0, None, 2),
        ({"GT_AUTO_SHARD": "1"}, 4, None, 4),
        ({"GT_AUTO_SHARD": "1"}, 4, 3, 3),
        ({"GT_WORKERS": "8", "GT_AUTO_SHARD": "1"}, 4, 3, 8),
        ({"GT_WORKERS": "1", "GT_AUTO_SHARD": "1"}, 4, None, 1),
    ],
)
def test_how_many_workers_start(variables, gpus, asked, expected):
    assert Environment.read(variables).world_size(gpus, asked) == expected


@pytest.mark.parametrize(
    ("name", "value", "says"),
    [
        ("GT_WORKERS", "0", "at least 1"),
        ("GT_WORKERS", "-2", "at least 1"),
        ("GT_WORKERS", "two", "'two'"),
        ("GT_WORKER_MEMORY", "much", "GT_WORKER_MEMORY: not a size"),
        ("GT_AUTO_SHARD", "maybe", "expected 1 or 0"),
        ("GT_VERBOSE", "2", "expected 1 or 0"),
        ("GT_DEBUG_WORKERS", "1", "GT_DEBUG_WORKER"),
        ("GT_HOTPATH_TRESHOLD", "1", "GT_HOTPATH_THRESHOLD"),
        ("GT_WORKERS_MEMORY", "1", "GT_WORKER_MEMORY"),
    ],
)
def test_what_cannot_be_is_refused_by_name(name, value, says):
    with pytest.raises(InputError, match=says) as caught:
        Environment.read({name: value})
    assert name in str(caught.value)
    assert caught.value.hint
