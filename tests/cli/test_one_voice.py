"""All commands, walked by machine: the same words, options, units, JSON and failures everywhere."""

import errno
import inspect
import json
import os
import re
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

import click
import pytest
import torch

from outgrow.cli import demo as demo_module
from outgrow.cli.command_group import CommandGroup
from outgrow.cli.main import COMMANDS, main, program
from outgrow.store import write_safetensors

REFERENCE = Path(__file__).parents[2] / "docs" / "reference" / "cli.md"
# A line of help begins with one of these; a new verb is looked at before it is added.
VERBS = {
    "Be", "Check", "Compare", "Do", "Draw", "Generate", "List", "Look", "Name", "Print", "Record", "Run",
    "Serve", "Show", "Start", "Train", "Write",
}  # fmt: skip
# Run until they are stopped, or leave stdout to somebody else, or print no result at all.
WITHOUT_JSON = {"shard serve", "shard worker", "web", "record", "completion"}
# Options whose value is not of one kind everywhere, and why.
OF_TWO_KINDS = {
    "--out": "a file of pictures or traces, a directory of runs and recordings",
    "--dtype": "converting knows four; computing takes whatever torch can compute in",
}


def walk(command, path=(), entry=None):
    """Every command and group below `command`: its words, itself, and its line in the help of its group."""
    context = click.Context(command)
    if path:
        yield " ".join(path), command, entry
    if isinstance(command, CommandGroup):
        for name in command.list_commands(context):
            yield from walk(command.get_command(context, name), (*path, name), command._entries[name])


ALL = {name: (command, entry) for name, command, entry in walk(program)}
LEAVES = {name: command for name, (command, _) in ALL.items() if not isinstance(command, CommandGroup)}
each = pytest.mark.parametrize("name", ALL)
each_leaf = pytest.mark.parametrize("name", LEAVES)


def options_of(command):
    context = click.Context(command, help_option_names=["-h", "--help"])
    return [option for option in command.get_params(context) if isinstance(option, click.Option)]


def vocabulary():
    section = re.search(r"\n## Words for values\n(.*?)\n## ", REFERENCE.read_text(), re.DOTALL)[1]
    rows = re.findall(r"^\| ([^|]*) \|", section, re.MULTILINE)
    return {word for row in rows for word in re.findall(r"`([A-Z]+)`", row)}


def test_there_is_something_to_walk():
    assert set(COMMANDS) < set(ALL)
    assert {"store ls", "shard top", "evolve run"} < set(LEAVES)
    assert {"SIZE", "N", "GLOB", "FILE"} < vocabulary()


@each
def test_what_a_command_does_is_said_in_a_sentence_that_begins_with_its_verb(name):
    command, entry = ALL[name]
    for sentence in (entry.help, inspect.cleandoc(command.help).split("\n\n")[0]):
        assert sentence.split()[0].rstrip(",") in VERBS, sentence
        assert sentence.endswith("."), sentence
    assert "\n" not in entry.help
    assert len(entry.help) <= 66  # so that a table of contents of 80 columns has one line for each


@each
def test_every_option_is_explained(name):
    for option in options_of(ALL[name][0]):
        if not option.hidden:
            assert option.help, option.name
            assert option.help[0].isupper() or option.help[0] in "0-" or option.name in ("data", "model")
            assert option.help.endswith("."), option.help


@each
def test_values_have_words_of_the_vocabulary(name):
    command, _ = ALL[name]
    context = click.Context(command)
    known = vocabulary() | {"COMMAND"}
    for parameter in command.get_params(context):
        if getattr(parameter, "is_flag", False) or getattr(parameter, "hidden", False):
            continue
        shown = parameter.make_metavar(context)
        if isinstance(parameter.type, click.Choice) and parameter.metavar is None:
            assert set(re.findall(r"[^\[\]|]+", shown)) <= set(parameter.type.choices)
            continue
        assert parameter.metavar, f"{parameter.name} has click's word for its type: {shown}"
        words = re.findall(r"\w+", shown)
        assert set(words) <= known, f"{parameter.name}: {shown}"


def test_no_word_of_the_vocabulary_is_left_over():
    used = {"DIR", "PATH"}
    for command, _ in ALL.values():
        for parameter in command.params:
            used |= set(re.findall(r"\w+", parameter.make_metavar(click.Context(command)) or ""))
    assert vocabulary() <= used


def test_an_option_of_one_name_takes_one_kind_of_value():
    kinds = {}
    for command in LEAVES.values():
        for option in options_of(command):
            value = None if option.is_flag else option.make_metavar(click.Context(command))
            for spelling in option.opts:
                kinds.setdefault(spelling, set()).add(value)
    differing = {spelling for spelling, values in kinds.items() if len(values) > 1 and len(spelling) > 2}
    assert differing == set(OF_TWO_KINDS)


def test_an_option_has_one_short_form():
    shorts = {}
    for command, _ in ALL.values():
        for option in options_of(command):
            for short in (one for one in option.opts if len(one) == 2):
                (long,) = (one for one in option.opts if len(one) > 2)
                shorts.setdefault(short, set()).add(long)
    assert shorts == {"-q": {"--quiet"}, "-h": {"--help"}, "-o": {"--out"}}
    for command in LEAVES.values():
        for option in options_of(command):
            assert ("-o" in option.opts) == ("--out" in option.opts)


@each
def test_every_command_and_group_can_be_quiet(name):
    (quiet,) = (option for option in options_of(ALL[name][0]) if "-q" in option.opts)
    assert quiet.help == "Say nothing on stderr but errors."


@each_leaf
def test_json_is_there_where_scripts_would_read_it(name):
    found = [option for option in options_of(LEAVES[name]) if "--json" in option.opts]
    assert bool(found) == (name not in WITHOUT_JSON)
    for option in found:
        assert option.is_flag
        assert option.help == "Print one JSON object on stdout, and nothing else there."


@each_leaf
def test_an_exit_code_that_is_an_answer_is_in_the_help(name):
    callback = inspect.unwrap(LEAVES[name].callback)
    answers = inspect.signature(callback).return_annotation is int
    assert answers == ("\nExit code: " in inspect.cleandoc(LEAVES[name].help))


@each
def test_an_unknown_option_is_an_error_with_a_hint(name, capsys):
    assert main([*name.split(), "--zzz"]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    message, hint = err.splitlines()
    assert message == "InputError: there is no option '--zzz'"
    assert hint == f"  Hint: `outgrow {name} --help` shows how it is called"


@pytest.mark.parametrize("name", [name for name, (one, _) in ALL.items() if isinstance(one, CommandGroup)])
def test_a_mistyped_subcommand_lists_the_nearest(name, capsys):
    last = list(ALL[name][0].list_commands(None))[-1]
    assert main([*name.split(), f"{last}x"]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith(f"InputError: there is no command '{name} {last}x'\n  Hint: did you mean: {last}")


@each
def test_the_help_fits_sixty_columns(name, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "60")
    assert main([*name.split(), "--help"]) == 0
    shown = capsys.readouterr().out
    assert shown.startswith(f"Usage: outgrow {name} ")
    assert [line for line in shown.splitlines() if len(line) > 60] == []


@each
def test_help_is_also_a_command(name, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    assert main(["help", *name.split()]) == 0
    shown = capsys.readouterr().out
    assert main([*name.split(), "--help"]) == 0
    assert capsys.readouterr().out == shown


CLOSED_PIPE = """
import os, sys
import outgrow.compare, outgrow.compare.kernel, outgrow.store.integrity  # once, and not in every child
from outgrow.cli.main import COMMANDS, main, program
for name in COMMANDS:
    command = program.get_command(None, name)
    for other in getattr(command, "list_commands", lambda _: ())(None):
        command.get_command(None, other)
read, closed = os.pipe()
os.close(read)
for words in sys.stdin.read().splitlines():
    child = os.fork()
    if not child:
        os.dup2(closed, 1)
        code = main(words.split())
        os._exit(code)
    print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), words, flush=True)
"""


def test_every_command_survives_a_closed_pipe(tmp_path):
    write_safetensors(tmp_path / "m.safetensors", {"a": torch.ones(2)})
    calls = [f"{name} --help" for name in ALL] + ["--help", "--version", "completion bash"]
    calls += ["store ls m.safetensors", "store ls --json m.safetensors", "store verify m.safetensors"]
    calls += ["compare m.safetensors m.safetensors", "compare --json m.safetensors m.safetensors"]
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONUNBUFFERED"}
    done = subprocess.run(
        [sys.executable, "-c", CLOSED_PIPE], input="\n".join(calls), capture_output=True, text=True,
        cwd=tmp_path, env=environment, check=False,
    )  # fmt: skip
    assert done.stdout.splitlines() == [f"{128 + signal.SIGPIPE} {words}" for words in calls]
    assert done.stderr == ""


@pytest.fixture(scope="module")
def grown(tmp_path_factory):
    """A finished growing run, as short as can be."""
    pytest.importorskip("sklearn")
    folder = tmp_path_factory.mktemp("grown")
    script = "import torch.nn as nn\ndef make(channels, classes):\n    return nn.Sequential("
    script += "nn.Flatten(), nn.Linear(64, 4), nn.ReLU(), nn.Linear(4, classes))\n"
    (folder / "net.py").write_text(script)
    words = ["--model", f"{folder / 'net.py'}:make", "--policy", "uniform", "--budget-flops", "1M"]
    words += ["--decisions", "1", "--max-pictures", "100", "--out", str(folder / "run")]
    assert main(["-q", "evolve", "run", *words]) == 0
    return folder / "run", words


@pytest.fixture(scope="module")
def served(tmp_path_factory):
    """The address of a dispatcher with one worker, and its log."""
    from outgrow.shard.client.session import Session, use_session
    from outgrow.shard.engines.local import start_local

    log = tmp_path_factory.mktemp("log") / "instructions.log"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("GT_INSTRUCTION_LOG", str(log))
        children = Path(f"/proc/{os.getpid()}/task/{os.getpid()}/children")
        before = set(children.read_text().split())
        session = Session(start_local(1))
    with use_session(session):
        (torch.ones(4, 4, device="workers") + 1).sum().item()
        (dispatcher,) = set(children.read_text().split()) - before
        yield f"unix:@outgrow-shard-{os.getuid()}-{dispatcher}", log
    session.link.close()


JSON_CALLS = {
    "demo": lambda _get, _folder: ["probe"],
    "doctor": lambda _get, folder: ["--path", str(folder), "--size", "8MB"],
    "plan": lambda get, _folder: [str(get("chat_model")), "--budget", "600kB", "--no-probe"],
    "run": lambda get, _folder: [
        str(get("chat_model")), "--budget", "600kB", "--prompt", "word1", "--max-new-tokens", "2"
    ],
    "store ls": lambda _get, folder: [str(folder / "m.safetensors")],
    "store verify": lambda _get, folder: [str(folder / "m.safetensors"), "--record"],
    "store convert": lambda _get, folder: [str(folder / "m.pt"), str(folder / "converted")],
    "shard top": lambda get, _folder: ["--address", get("served")[0], "--interval", "0.1"],
    "shard trace": lambda get, folder: [
        "--address", get("served")[0], "--seconds", "0.1", "--out", str(folder / "trace.json")
    ],
    "shard visualize": lambda get, folder: [str(get("served")[1]), "-o", str(folder / "log.svg")],
    "evolve run": lambda get, _folder: get("grown")[1],
    "evolve show": lambda get, folder: [str(get("grown")[0]), "--svg", str(folder / "growth.svg")],
    "evolve replay": lambda get, _folder: [str(get("grown")[0])],
    "compare": lambda _get, folder: [
        *[str(folder / "m.safetensors")] * 2, "--html", str(folder / "page.html")
    ],
}  # fmt: skip


def test_terminals_are_commanded_and_json_is_made_in_one_place():
    owners = {
        r"\\x1b|\\033": {"live_line.py"},
        r"click\.(style|secho|clear)\b": set(),
        r"\bjson\.dumps\b": {"json_output.py", "shard_trace.py"},  # the latter a file that is Perfetto's
    }
    folder = Path(inspect.getfile(main)).parent
    for pattern, files in owners.items():
        assert {file.name for file in folder.glob("*.py") if re.search(pattern, file.read_text())} == files


def refuse_constants(text):
    raise ValueError(f"{text} is no JSON")


@pytest.mark.parametrize("name", sorted(set(LEAVES) - WITHOUT_JSON))
def test_json_is_one_object_with_its_version_and_nothing_else(name, request, tmp_path, capsys, monkeypatch):
    # A terminal as far as rich knows: colours and live lines would show.
    monkeypatch.setenv("FORCE_COLOR", "1")
    write_safetensors(tmp_path / "m.safetensors", {"a": torch.ones(2)})
    torch.save({"a": torch.ones(2)}, tmp_path / "m.pt")
    if name == "demo":
        chapter = demo_module.Chapter(attribute=f"{__name__}:probe_chapter", title="a probe")
        monkeypatch.setitem(demo_module.CHAPTERS, "probe", chapter)
        (argument,) = (one for one in demo_module.demo.params if one.name == "chapter")
        monkeypatch.setattr(argument, "type", click.Choice(["probe"]))
    arguments = JSON_CALLS[name](request.getfixturevalue, tmp_path)
    capsys.readouterr()
    assert main([*name.split(), *arguments, "--json", "--quiet"]) == 0
    out, err = capsys.readouterr()
    assert err == ""
    report = json.loads(out, parse_constant=refuse_constants)
    assert next(iter(report)) == "version"
    assert report["version"] >= 1
    assert "format_version" not in report


def probe_chapter(*, is_shown, **_options):
    assert not is_shown
    return {"is_right": True, "loss": float("nan")}


def test_what_json_cannot_hold_is_null():
    from outgrow.cli.json_output import as_json_text

    text = as_json_text(
        3, {"a": [float("inf"), 1.5, (float("nan"),)], "b": {"c": -float("inf")}, "d": "\udcff"}
    )
    assert text.isascii()
    assert json.loads(text, parse_constant=refuse_constants) == {
        "version": 3, "a": [None, 1.5, [None]], "b": {"c": None}, "d": "\udcff",
    }  # fmt: skip


@pytest.mark.parametrize(
    "words", ["store ls gone", "compare gone gone", "evolve show gone", "plan gone --budget 1MB"]
)
def test_an_error_is_text_also_where_json_was_asked_for(words, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert main([*words.split(), "--json"]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert re.match(r"\w+: .*gone.*\n  Hint: ", err)


def test_defaults_of_a_growing_run_are_those_of_its_configuration():
    from outgrow.evolve.data import DATA_SETS
    from outgrow.evolve.run import RunConfiguration
    from outgrow.evolve.run.models import MODELS
    from outgrow.evolve.run.policy_choice import POLICY_NAMES

    options = {option.name: option for option in options_of(LEAVES["evolve run"])}
    plain = RunConfiguration()
    names = {"lr": "learning_rate", "decisions": "decisions", "batch_size": "batch_size", "seed": "seed"}
    for name, field in {**names, "policy": "policy", "model": "model", "data": "data"}.items():
        assert options[name].default == getattr(plain, field)
    assert float(options["budget_flops"].default) == plain.budget_flops
    assert set(options["policy"].type.choices) == set(POLICY_NAMES)
    for known, option in ((DATA_SETS, options["data"]), (MODELS, options["model"])):
        offered = option.shell_complete(click.Context(LEAVES["evolve run"]), "")
        assert {item.value for item in offered} == set(known)


def test_no_place_for_temporary_files_is_named_and_no_fault(capsys, monkeypatch):
    def none(*_):
        raise FileNotFoundError(errno.ENOENT, "No usable temporary directory found in ['/tmp']")

    monkeypatch.setattr(tempfile, "tempdir", None)
    monkeypatch.setattr(tempfile, "_get_default_tempdir", none)
    assert main(["demo", "evolve", "--json"]) == 2
    said = capsys.readouterr().err
    assert said.startswith("StoreError: nowhere can a temporary file be written")
    assert "Hint: set TMPDIR" in said
