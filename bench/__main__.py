"""`python -m bench CASE [options]`: measure one question and write its result to `bench/results`."""

import argparse
import sys
from collections.abc import Sequence

from bench.cases import CASES
from bench.limit import LimitUnavailable
from bench.models import SHAPES, make_checkpoint
from bench.plot import main as plot
from bench.systems.airllm import install


def main(arguments: Sequence[str] | None = None) -> int:
    """Run what was asked for; 0 when a result was written, 2 when it could not be measured."""
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    commands = parser.add_subparsers(dest="case", required=True, metavar="CASE")
    for name, case in CASES.items():
        case.add_arguments(commands.add_parser(name, help=case.__doc__, description=case.__doc__))
    commands.add_parser("install-airllm", help="put AirLLM into a directory of its own, for `peers`")
    make = commands.add_parser("make-model", help="write a random checkpoint and print where it is")
    make.add_argument("shape", choices=sorted(SHAPES))
    draw = commands.add_parser("plot", help="draw result files")
    draw.add_argument("files", nargs="+")
    options = parser.parse_args(arguments)
    if options.case == "install-airllm":
        print(install())
    elif options.case == "make-model":
        print(make_checkpoint(options.shape))
    elif options.case == "plot":
        return plot(options.files)
    else:
        try:
            print(CASES[options.case].run(options))
        except (LimitUnavailable, MemoryError, OSError) as err:
            print(f"error: {err}", file=sys.stderr)
            return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
