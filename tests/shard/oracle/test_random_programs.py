"""Random programs on whole numbers: views, writes through them, placements, training steps."""

import pytest

from bench.oracle.programs import Broken, Program

WAYS = ("random", "planned", "cheapest")


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("seed", range(24))
def test_programs_give_what_torch_alone_gives(seed):
    Program(seed, (1, 2, 2, 3, 4, 8)[seed % 6], rows=WAYS[seed % 3]).run(50)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("start", range(1000, 3000, 100))
def test_many_programs_give_what_torch_alone_gives(start):
    for seed in range(start, start + 100):
        Program(seed, (1, 2, 2, 3, 4, 5, 8)[seed % 7], rows=WAYS[seed % 3]).run(80)


@pytest.mark.filterwarnings("ignore")
def test_a_wrong_element_is_found():
    program = Program(3, 2)
    with program.workers.active():
        program._new()
        plain, ours = program.pairs[0]
        program.pairs[0] = (plain + 1, ours)
        if plain.numel():
            with pytest.raises(Broken, match="seed=3"):
                program.check_all()
