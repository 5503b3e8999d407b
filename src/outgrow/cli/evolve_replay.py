"""`outgrow evolve replay`: do the edits of a run again, and hold the outcome against the run's."""

__all__ = ["replay"]

from dataclasses import asdict
from pathlib import Path

import click

from outgrow.cli import render
from outgrow.cli.json_output import json_option, print_json

# Version of what `--json` prints; it goes up when a key changes its meaning or goes away.
_FORMAT_VERSION = 1


@click.command()
@click.argument("directory", type=click.Path(path_type=Path), metavar="DIR")
@json_option
@render.quiet_option
def replay(directory: Path, as_json: bool) -> int:
    """Do the edits of the finished run in DIR again, on its first model, and prove the outcome.

    After each edit every layer must have the width that the log says; in the end every weight the shape that
    the run left, and the model, with the run's weights, must give the bits that the archived graph gives.

    Exit code: 1 where something differs.
    """
    from outgrow.evolve.run import replay_run

    with render.live() as line:
        line.update("doing the edits again ...")
        outcome = replay_run(directory)
    if as_json:
        print_json(_FORMAT_VERSION, {"is_proved": outcome.is_proved, **asdict(outcome)})
        return 0 if outcome.is_proved else 1
    rows = [
        (
            number,
            edit["label"],
            edit["promise"],
            f"{edit['change']:.0e}",
            "as logged" if edit["widths_agree"] else "DIFFER",
        )
        for number, edit in enumerate(outcome.edits, start=1)
    ]
    render.table("", ("edit", "what", "promise", "outputs moved", "widths"), rows, right=("edit",))
    if outcome.is_proved:
        click.echo("proved: shapes are those of the run, and outputs are bit-identical to its archive's")
        return 0
    if not outcome.shapes_agree:
        click.echo("DIFFERENT: weights have other shapes than the run left")
    elif not outcome.outputs_agree:
        click.echo(f"DIFFERENT: outputs are up to {outcome.max_abs:g} off those of the archive")
    else:
        click.echo("DIFFERENT: layers had other widths on the way than the log says")
    return 1
