"""Everything that is examined, and at which world sizes."""

__all__ = ["DATABASES", "entries", "exams"]

from collections.abc import Callable, Iterator

from bench.oracle.exam import Exam
from bench.oracle.modules import module_exams, module_names
from bench.oracle.ops import op_exams, op_names
from bench.oracle.optimizers import optimizer_exams, optimizer_names
from bench.oracle.options import EVERY, SOME, Entry
from bench.oracle.stable import stable

DATABASES: dict[str, tuple[Callable[[], list[str]], Callable[[str, int, int, int], Iterator[Exam]]]] = {
    "op": (op_names, op_exams),
    "module": (module_names, module_exams),
    "optimizer": (optimizer_names, optimizer_exams),
}
"""torch's databases: the names in them, and the exams of one entry."""


def entries(worlds: tuple[int, ...] = (EVERY, *SOME), *, is_whole: bool = False) -> Iterator[Entry]:
    """All of them; `is_whole`: at the other world sizes too."""
    for world_size in worlds:
        for database, (names, _) in DATABASES.items():
            for name in names():
                if world_size == EVERY or is_whole or stable(f"{database}:{name}") % 5 == 0:
                    yield Entry(database, name, world_size)


def exams(entry: Entry, seed: int, samples: int) -> Iterator[Exam]:
    """The exams of an entry."""
    return DATABASES[entry.database][1](entry.name, entry.world_size, seed, samples)
