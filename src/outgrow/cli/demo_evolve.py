"""The demo's fourth chapter: a network too small for its task, which grows while it trains."""

__all__ = ["run_chapter"]

import dataclasses
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from outgrow.cache import cache_directory
from outgrow.cli import render
from outgrow.cli.output_files import write_text
from outgrow.quantities import format_count

if TYPE_CHECKING:
    from outgrow.cli.live_line import LiveLine
    from outgrow.evolve.run import RunResult

_FLOPS = 4e10
"""Of each of the two trainings."""
_ROUNDING = 1e-5
"""Relative change of outputs in float32 that is rounding."""
_LEARNT = 0.9
"""Accuracy that anything which works reaches."""
_NETWORK = '''"""A network of somebody's own: any function that gives a module will do."""

from torch import nn


def make_net(channels, classes):
    return nn.Sequential(
        nn.Conv2d(channels, 4, 3, padding=1), nn.BatchNorm2d(4), nn.ReLU(),
        nn.Conv2d(4, 4, 3, padding=1), nn.BatchNorm2d(4), nn.ReLU(), nn.MaxPool2d(2),
        nn.Conv2d(4, 8, 3, padding=1), nn.BatchNorm2d(8), nn.ReLU(),
        nn.AdaptiveAvgPool2d(2), nn.Flatten(), nn.Linear(32, classes),
    )
'''


@dataclass(kw_only=True)
class _Story:
    """What is told while the network grows."""

    line: "LiveLine"
    is_shown: bool
    made: list[Mapping[str, Any]] = field(default_factory=list)

    def add(self, entry: Mapping[str, Any]) -> None:
        """A line for each change."""
        if entry["kind"] == "decision" and entry["is_made"]:
            self.made.append(entry)
            if self.is_shown:
                self.line.write(
                    f"{entry['parameters']:>8,} parameters  {entry['label']}: {entry['reason']}\n"
                )
        self.line.update(f"training, {min(1.0, entry['flops'] / _FLOPS):.0%} of {_FLOPS:.1e} FLOPs ...")


def run_chapter(*, title: str, svg: Path | None, is_shown: bool, **_options: Any) -> dict[str, Any]:
    """Run the chapter; what it found, ready for JSON. Prints unless not `is_shown`."""
    from outgrow.evolve.run import RunConfiguration, grow, replay_run
    from outgrow.evolve.run.picture import draw_growth
    from outgrow.store.writer import make_directory

    if is_shown:
        _introduce(title)
    picture = svg if svg is not None else cache_directory() / "demo-growth.svg"
    with tempfile.TemporaryDirectory(prefix="outgrow-demo-") as scratch:
        script = Path(scratch) / "own_net.py"
        script.write_text(_NETWORK)
        asked = RunConfiguration(model=f"{script}:make_net", budget_flops=_FLOPS, evaluations=25)
        with render.live() as line:
            story = _Story(line=line, is_shown=is_shown)
            grown = grow(asked, Path(scratch) / "grown", listener=story.add)
            line.update("training the network as it was, with as many FLOPs ...")
            kept = grow(dataclasses.replace(asked, decisions=0), Path(scratch) / "kept")
            line.update("doing the changes again ...")
            replayed = replay_run(Path(scratch) / "grown")
        make_directory(picture.parent)
        drawn = draw_growth(grown.entries, title="digits: a network that grows", budget_flops=_FLOPS)
        write_text(picture, drawn)
    report = _report(grown, kept, story, is_proved=replayed.is_proved) | {"picture": str(picture)}
    if is_shown:
        _conclude(report)
    return report


def _report(grown: "RunResult", kept: "RunResult", story: _Story, *, is_proved: bool) -> dict[str, Any]:
    farthest = max((entry["change"] for entry in story.made), default=0.0)
    accuracy = grown.test["accuracy"]
    return {
        "changes": [{"what": entry["label"], "why": entry["reason"]} for entry in story.made],
        "farthest_output": farthest,
        "parameters": {"first": grown.entries[0]["parameters"], "last": grown.test["parameters"]},
        "accuracy": {"grown": accuracy, "as_it_was": kept.test["accuracy"]},
        "loss": {"grown": grown.test["loss"], "as_it_was": kept.test["loss"]},
        "flops": {"grown": grown.test["flops"], "as_it_was": kept.test["flops"]},
        "is_replayed": is_proved,
        "is_right": bool(story.made) and farthest <= _ROUNDING and is_proved and accuracy >= _LEARNT,
    }


def _introduce(title: str) -> None:
    render.picture(
        f"outgrow demo: {title}",
        [
            ("Model", "three convolutions of 4, 4 and 8 channels, from a script of 12 lines"),
            ("Data", "1,797 handwritten digits, 8 x 8 pixels, which scikit-learn brings along"),
            ("Decides", "short trials with and without each change, at equal FLOPs, on held-out digits"),
            ("Beside it", "the same network, left as it is, with as many FLOPs"),
        ],
    )
    click.echo()


def _conclude(report: dict[str, Any]) -> None:
    first, last = report["parameters"].values()
    farthest, accuracy, loss = report["farthest_output"], report["accuracy"], report["loss"]
    count = len(report["changes"])
    exact = "yes" if farthest <= _ROUNDING else "NO"
    render.picture(
        "",
        [
            ("Grew", f"from {first:,} to {last:,} parameters in {format_count(count, 'change')}"),
            ("Exact", f"{exact}: no change moved an output by more than {farthest:.0e} of it"),
            (
                "Replayed",
                "yes: the same bits, from its log and without its class" if report["is_replayed"] else "NO",
            ),
            (
                "Accuracy",
                f"{accuracy['grown']:.1%} on the test split; left as it was {accuracy['as_it_was']:.1%}",
            ),
            ("Loss", f"{loss['grown']:.3f}; left as it was {loss['as_it_was']:.3f}, at equal FLOPs"),
            ("", "one seed of a small task: docs/explanation/growing-honestly.md has what growing pays"),
            ("Picture", report["picture"]),
        ],
    )
