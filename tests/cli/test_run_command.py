import gc
import io
import json
import os
import signal
import subprocess
import sys
import threading
import time
from types import SimpleNamespace

import pytest

from outgrow.cli import verification
from outgrow.cli.main import main
from outgrow.devices import MemoryState

BASE = ["--budget", "600kB", "--prompt", "word1 word2 word3", "--max-new-tokens", "6"]


def run_json(capsys, *arguments):
    code = main(["--quiet", "run", *map(str, arguments), "--json"])
    output = capsys.readouterr()
    assert output.err == ""
    return code, json.loads(output.out)


def reference(folder, prompt, tokens, **options):
    """What transformers itself answers."""
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(folder)
    inputs = tokenizer.apply_chat_template(
        [{"role": "user", "content": prompt}],
        add_generation_prompt=True,
        return_tensors="pt",
        return_dict=True,
    )
    model = AutoModelForCausalLM.from_pretrained(folder)
    torch.manual_seed(options.pop("seed", 0))
    output = model.generate(**inputs, max_new_tokens=tokens, **{"do_sample": False, **options})
    answer = output[0, inputs["input_ids"].shape[1] :].tolist()
    return answer, tokenizer.decode(answer, skip_special_tokens=True)


def test_the_text_is_on_stdout_and_figures_on_stderr(chat_model, capsys):
    assert main(["run", str(chat_model), *BASE]) == 0
    output = capsys.readouterr()
    assert output.out == reference(chat_model, "word1 word2 word3", 6)[1] + "\n"
    assert "6 tokens in" in output.err
    assert "in memory" in output.err


def test_json_has_text_tokens_and_statistics(chat_model, capsys):
    code, report = run_json(capsys, chat_model, *BASE)
    tokens, text = reference(chat_model, "word1 word2 word3", 6)
    assert (code, report["version"], report["tokens"], report["text"]) == (0, 1, tokens, text)
    assert report["statistics"]["passes"] == 6
    assert report["statistics"]["peak_bytes"] <= 600_000
    assert report["verification"] is None


def test_a_prompt_comes_from_stdin_too(chat_model, capsys, monkeypatch):
    monkeypatch.setattr("sys.stdin", io.StringIO("word1 word2 word3"))
    _, report = run_json(chat_model and capsys, chat_model, *BASE[:2], "--prompt", "-", *BASE[4:])
    assert report["tokens"] == reference(chat_model, "word1 word2 word3", 6)[0]


def test_the_chat_template_can_be_left_out(chat_model, capsys):
    assert run_json(capsys, chat_model, *BASE)[1]["prompt_tokens"] == 5
    assert run_json(capsys, chat_model, *BASE, "--no-chat")[1]["prompt_tokens"] == 3


def test_sampling_draws_what_transformers_draws_with_the_same_seed(chat_model, capsys):
    options = {"do_sample": True, "temperature": 0.7, "seed": 3}
    _, report = run_json(capsys, chat_model, *BASE, "--temperature", "0.7", "--seed", "3")
    assert report["tokens"] == reference(chat_model, "word1 word2 word3", 6, **options)[0]


def test_verify_finds_every_token_and_logit_the_same(chat_model, capsys):
    code, report = run_json(capsys, chat_model, *BASE, "--verify")
    checked = report["verification"]
    assert code == 0
    assert checked["is_identical"]
    assert checked["reference"] == "resident"
    assert (checked["equal_tokens"], checked["tokens"]) == (6, 6)
    assert (checked["equal_logits"], checked["logits"]) == (6 * 67, 6 * 67)
    modules = checked["modules"]
    assert modules["tensors"] > modules["modules"] > 20
    assert (modules["differing"], modules["first_difference"], modules["is_cut"]) == (0, None, False)


def test_verify_names_the_first_module_that_differs(chat_model, capsys, monkeypatch):
    from outgrow.cli import module_check

    compare, found = module_check.compare_first_passes, []

    def spoil(actual, expected):
        """Another number in what one of the modules of the streamed model gave."""
        index = actual / "index.jsonl"
        lines = [json.loads(line) for line in index.read_text().splitlines()]
        (entry,) = [line for line in lines if line.get("name") == "model.layers.1.mlp.up_proj.output"]
        with (actual / entry["file"]).open("r+b") as file:
            file.seek(entry["offset"])
            file.write(b"\0\0\x80\x3f")
        found.append(sorted(path.name for path in actual.parent.iterdir()))
        return compare(actual, expected)

    monkeypatch.setattr(module_check, "compare_first_passes", spoil)
    assert main(["run", str(chat_model), *BASE, "--verify"]) == 1
    said = " ".join(capsys.readouterr().err.split())
    assert "first 'model.layers.1.mlp.up_proj.output' by" in said
    assert found == [["streamed", "whole"]]


def test_verify_says_where_its_memory_ended(chat_model, capsys, monkeypatch):
    from outgrow.cli import module_check

    monkeypatch.setattr(module_check, "_MAX_BYTES", 5000)
    code, report = run_json(capsys, chat_model, *BASE, "--verify")
    assert code == 0
    assert report["verification"]["modules"]["is_cut"]
    assert 0 < report["verification"]["modules"]["tensors"] < 20


@pytest.mark.parametrize("free", [[100_000, 60_000], [60_000, 100_000]], ids=["less", "more"])
def test_verify_is_no_false_alarm_where_the_disk_fills_meanwhile(chat_model, capsys, monkeypatch, free):
    from outgrow.cli import module_check

    monkeypatch.setattr(module_check, "_LEAST_BYTES", 0)
    left = iter(free)
    monkeypatch.setattr(module_check.shutil, "disk_usage", lambda _path: SimpleNamespace(free=next(left)))
    code, report = run_json(capsys, chat_model, *BASE, "--verify")
    modules = report["verification"]["modules"]
    assert (code, modules["differing"], modules["is_cut"]) == (0, 0, True)
    assert modules["tensors"] > 1
    assert modules["compared_bytes"] <= 15_000


def test_verify_needs_space_for_what_it_records(chat_model, capsys, monkeypatch):
    from outgrow.cli import module_check

    monkeypatch.setattr(module_check.shutil, "disk_usage", lambda _path: SimpleNamespace(free=2_000_000))
    assert main(["run", str(chat_model), *BASE, "--verify"]) == 2
    said = capsys.readouterr().err
    assert "2.00 MB are free" in said
    assert "TMPDIR" in said


def test_verify_goes_block_by_block_where_memory_is_short(chat_model, capsys, monkeypatch):
    monkeypatch.setattr(
        verification, "memory_state", lambda: MemoryState(limit=10**6, used=10**6, available=0)
    )
    code, report = run_json(capsys, chat_model, *BASE, "--verify")
    assert code == 0
    assert report["verification"]["reference"] == "block by block"
    assert report["verification"]["is_identical"]


@pytest.mark.parametrize("what", ["logits", "tokens"])
def test_verify_fails_with_exit_code_1_where_anything_differs(chat_model, capsys, monkeypatch, what):
    import dataclasses

    from outgrow.cli import generation

    generate, calls = generation.generate, []

    def wrong_once(*arguments, **options):
        done = generate(*arguments, **options)
        calls.append(done)
        if len(calls) > 1:
            return done
        if what == "tokens":
            return dataclasses.replace(done, tokens=(*done.tokens[:-1], done.tokens[-1] ^ 1))
        logits = done.logits[3].clone()
        logits[5] += 1
        return dataclasses.replace(done, logits=(*done.logits[:3], logits, *done.logits[4:]))

    monkeypatch.setattr(generation, "generate", wrong_once)
    assert main(["run", str(chat_model), *BASE, "--verify"]) == 1
    said = capsys.readouterr().err
    assert "DIFFERENT: " in said
    assert ("5 of 6 tokens" if what == "tokens" else "401 of 402 logits") in said


def test_statistics_go_to_a_file(chat_model, capsys, tmp_path):
    file = tmp_path / "stats.json"
    assert main(["run", str(chat_model), *BASE, "--stats", str(file)]) == 0
    assert json.loads(file.read_text())["statistics"]["budget_bytes"] == 600_000


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--budget", "many"], "not a size"),
        (["--budget", "0"], "above zero"),
        (["--budget", "3kB"], "least budget that works"),
        (["--prompt", ""], "no tokens"),
        (["--max-new-tokens", "0"], "--help"),
        (["--temperature", "-1"], "--help"),
        (["--device", "abacus"], "device"),
        (["--backend", "tape"], "--help"),
        (["--dtype", "int8"], "cannot compute"),
        (["--stats", "/nonexistent/stats.json"], "cannot write"),
    ],
    ids=[
        "size",
        "zero",
        "too small",
        "prompt",
        "tokens",
        "temperature",
        "device",
        "backend",
        "dtype",
        "stats",
    ],
)
def test_bad_input_is_a_message_and_exit_code_2(chat_model, capsys, arguments, words):
    assert main(["--quiet", "run", str(chat_model), *BASE, "--no-chat", *arguments]) == 2
    output = capsys.readouterr()
    assert output.out == ""
    assert words in output.err
    assert "Hint: " in output.err
    assert "Traceback" not in output.err


def test_a_model_without_a_tokenizer_is_refused_before_weights_are_read(chat_model, capsys, tmp_path):
    for file in chat_model.iterdir():
        if "token" not in file.name:
            (tmp_path / file.name).symlink_to(file)
    assert main(["--quiet", "run", str(tmp_path), *BASE]) == 2
    assert "no tokenizer" in capsys.readouterr().err


def test_a_missing_model_is_said_to_be_missing(tmp_path, capsys):
    assert main(["--quiet", "run", str(tmp_path / "nowhere"), *BASE]) == 2
    assert "no model at" in capsys.readouterr().err


def test_nothing_is_left_after_a_run(chat_model, capsys):
    gc.collect()
    before = set(threading.enumerate())
    assert main(["--quiet", "run", str(chat_model), *BASE]) == 0
    gc.collect()
    assert not [thread.name for thread in set(threading.enumerate()) - before if "outgrow" in thread.name]


@pytest.mark.skipif(os.name != "posix", reason="sends a signal")
def test_ctrl_c_ends_it_with_130(chat_model):
    command = [
        sys.executable,
        "-m",
        "outgrow",
        "run",
        str(chat_model),
        *BASE[:4],
        "--max-new-tokens",
        "100000",
    ]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    try:
        # The first text is there: it generates.
        assert process.stdout.read(5)
        process.send_signal(signal.SIGINT)
        began = time.monotonic()
        errors = process.communicate(timeout=60)[1].decode()
        assert process.returncode == 130
        assert "Interrupted." in errors
        assert "Traceback" not in errors
        assert time.monotonic() - began < 30
    finally:
        process.kill()
        process.wait()


def test_without_transformers_it_says_what_to_install(chat_model, capsys, monkeypatch):
    monkeypatch.setitem(sys.modules, "transformers", None)
    assert main(["--quiet", "run", str(chat_model), *BASE]) == 2
    shown = capsys.readouterr().err
    assert "needs transformers" in shown
    assert "pip install 'outgrow[hf]'" in shown
