import json
import os
import subprocess
import sys

import pytest
import torch

from outgrow.cli.main import main
from outgrow.store import write_safetensors


@pytest.fixture
def root(tmp_path):
    tensors = {f"layers.{number}.w": torch.ones(10, 3, dtype=torch.bfloat16) for number in (2, 10, 1)}
    write_safetensors(tmp_path / "m" / "model.safetensors", tensors | {"scale": torch.ones(())}, {"k": "v"})
    return tmp_path / "m"


def run(capsys, *arguments):
    code = main(["store", *map(str, arguments)])
    return code, capsys.readouterr()


def test_ls_lists_in_natural_order(root, capsys):
    code, output = run(capsys, "ls", root)
    assert code == 0
    lines = output.out.splitlines()
    assert lines[0] == f"{root}: 4 weights, 184 B in 1 file"
    assert [line.split()[0] for line in lines[2:]] == ["layers.1.w", "layers.2.w", "layers.10.w", "scale"]
    assert "bfloat16" in lines[2]
    assert "10 x 3" in lines[2]
    assert "scalar" in lines[5]


def test_ls_json_and_match(root, capsys):
    code, output = run(capsys, "ls", root, "--json", "--only", "layers.1*")
    assert code == 0
    content = json.loads(output.out)
    assert (content["version"], content["bytes"], content["metadata"]) == (1, 120, {"k": "v"})
    assert content["tensors"][0] == {
        "name": "layers.1.w", "dtype": "bfloat16", "shape": [10, 3], "file": "model.safetensors",
        "offset": 4096 + 120, "bytes": 60,
    }  # fmt: skip


def test_verify_a_sound_checkpoint(root, capsys):
    code, output = run(capsys, "verify", root)
    assert code == 0
    assert "sound; 4 weights" in output.out
    assert "contents of 0 compared" in output.out
    assert "--record" in output.err
    code, output = run(capsys, "verify", root, "--record", "--quiet")
    assert (code, output.err) == (0, "")
    assert "sound; 4 weights" in output.out
    assert (root / "outgrow.digests.json").exists()
    code, output = run(capsys, "verify", root, "--json")
    assert (code, json.loads(output.out)["checked_tensors"]) == (0, 4)


def test_verify_names_all_damage_and_exits_1(root, capsys):
    run(capsys, "verify", root, "--record")
    os.truncate(root / "model.safetensors", 4096 + 70)
    code, output = run(capsys, "verify", root)
    assert code == 1
    assert "3 things are wrong" in output.out
    assert "layers.10.w" in output.out
    assert "layers.1.w" in output.out
    assert "ends at byte" in output.out
    code, output = run(capsys, "verify", root, "--json", "--record")
    content = json.loads(output.out)
    assert (code, content["is_sound"], content["recorded"]) == (1, False, None)
    assert {damage["tensor"] for damage in content["damages"]} == {"layers.10.w", "layers.1.w", "scale"}


@pytest.mark.parametrize("command", [("ls",), ("verify",), ("convert", "target")])
def test_bad_input_exits_2_with_a_message(tmp_path, capsys, command):
    code, output = run(capsys, command[0], tmp_path / "gone", *(tmp_path / name for name in command[1:]))
    assert code == 2
    assert output.out == ""
    assert "gone" in output.err
    assert not (tmp_path / "target").exists()


def test_convert_says_what_it_wrote(tmp_path, capsys):
    torch.save({"w": torch.ones(1000)}, tmp_path / "w.pt")
    arguments = ("convert", tmp_path / "w.pt", tmp_path / "out", "--dtype", "float16")
    code, output = run(capsys, *arguments)
    assert code == 0
    assert "1 weight, 2.00 kB; written" in output.out
    code, output = run(capsys, *arguments, "--json")
    assert code == 0
    assert json.loads(output.out) == {
        "version": 1, "path": str(tmp_path / "out"), "tensors": 1, "bytes": 2000, "is_new": False,
        "resumed_files": 0,
    }  # fmt: skip
    code, output = run(capsys, "convert", tmp_path / "w.pt", tmp_path / "out", "--file-size", "huge")
    assert code == 2
    assert "not a size" in output.err


def test_the_help_does_not_wait_for_torch():
    program = "from outgrow.cli.main import main; main(['store', '-h'])"
    code = f"import sys; {program}; sys.exit('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    for name in ("ls", "verify", "convert"):
        assert name in done.stdout
