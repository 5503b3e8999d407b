"""One small model through all four rooms, from a wheel in an empty environment: `make package` runs this.

Needs the base dependencies alone. Every figure is asserted; what is printed is a line for each room.
"""

import json
import subprocess
import sys
import sysconfig
from pathlib import Path

import torch
from torch import nn

import outgrow
import outgrow.shard as gt
from outgrow import evolve, stream
from outgrow.capture import record
from outgrow.compare import compare

OUTGROW = str(Path(sysconfig.get_path("scripts")) / "outgrow")


def small_net():
    torch.manual_seed(0)
    hidden = [layer for _ in range(6) for layer in (nn.Linear(64, 64), nn.ReLU())]
    return nn.Sequential(nn.Linear(32, 64), nn.ReLU(), *hidden, nn.Linear(64, 8)).eval()


def command(*words, code=0):
    done = subprocess.run(words, capture_output=True, text=True, timeout=300)
    assert done.returncode == code, f"{words}: exit code {done.returncode}\n{done.stdout}\n{done.stderr}"
    return done.stdout


def the_command_line():
    assert Path(outgrow.__file__).is_relative_to(sysconfig.get_path("purelib")), outgrow.__file__
    listed = command(OUTGROW, "--help")
    assert listed == command(sys.executable, "-m", "outgrow", "--help")
    for room in ("stream", "shard", "evolve", "compare"):
        assert room in listed.lower(), listed
    assert outgrow.__version__ in command(OUTGROW, "--version")
    report = json.loads(command(OUTGROW, "--quiet", "doctor", "--json", "--size", "8MiB"))
    firsts = {room: next(iter(parts.values()))["state"] for room, parts in report["rooms"].items()}
    assert set(firsts) >= {"stream", "shard", "evolve", "compare"}, firsts
    assert "no" not in firsts.values(), firsts
    return f"outgrow {outgrow.__version__}, Python {report['python']}, torch {report['torch']['version']}"


def streaming(inputs, expected):
    config = stream.Config(storage_path="weights", budget="80kB")
    with torch.no_grad(), stream.closing(stream.offload(small_net(), config)) as model:
        assert torch.equal(model(inputs), expected)
        peak = stream.statistics(model).peak_bytes
        whole = stream.estimate_model_memory(small_net())
    assert peak <= 80_000 < whole
    return f"within {peak:,} of {whole:,} bytes, with the same bits"


def sharding(inputs, expected):
    gt.connect(workers=2)
    try:
        found = small_net().to("workers")(inputs.to("workers")).detach().cpu()
    finally:
        gt.shutdown()
    torch.testing.assert_close(found, expected)
    return "on two workers, to rounding"


def growing(inputs, expected):
    net = small_net()
    edit = evolve.widen(net, "0", by=16, example_inputs=inputs)
    with torch.no_grad():
        torch.testing.assert_close(net(inputs), expected)
    return f"by 16 units, outputs moved by {edit.change:.0e}"


def comparing(inputs):
    net = small_net()
    with torch.no_grad(), record(net, "run_a"):
        net(inputs)
    net[1] = nn.LeakyReLU(0.3)
    with torch.no_grad(), record(net, "run_b"):
        net(inputs)
    command(OUTGROW, "compare", "run_a", "run_a", code=0)
    text = command(OUTGROW, "compare", "run_a", "run_b", code=1)
    assert "1.output" in text, text
    with compare(expected="run_a", actual="run_b") as found:
        return f"'{found.first_divergence.pair.expected_name}' is the first that differs"


def main():
    print("command  ", the_command_line())
    inputs = torch.randn(4, 32, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        expected = small_net()(inputs)
    print("streamed ", streaming(inputs, expected))
    print("sharded  ", sharding(inputs, expected))
    print("grown    ", growing(inputs, expected))
    print("compared ", comparing(inputs))


if __name__ == "__main__":
    main()
