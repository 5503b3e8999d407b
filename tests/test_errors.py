import ast
import errno
import pickle
from pathlib import Path

import pytest

from outgrow import errors
from outgrow.errors import (
    DeviceError,
    InputError,
    OutgrowError,
    RemoteError,
    StoreError,
    hint_for,
    nearest_names,
    no_temporary_directory,
)

FAMILIES = [InputError, StoreError, DeviceError, RemoteError]


class WithOwnConstructor(StoreError):
    def __init__(self, weight: str, *, expected: int) -> None:
        super().__init__(f"weight {weight!r} has not {expected} bytes", hint="download it again")
        self.weight = weight


@pytest.mark.parametrize("family", FAMILIES)
def test_every_family_is_an_outgrow_error(family):
    with pytest.raises(OutgrowError, match="broken"):
        raise family("broken")


def test_input_errors_are_value_errors_too():
    with pytest.raises(ValueError, match="no such size"):
        raise InputError("no such size")


def test_text_shows_the_hint_on_a_line_of_its_own():
    error = StoreError("the file ends early", hint="download it again")
    assert str(error) == "the file ends early\n  Hint: download it again"
    assert error.message == "the file ends early"
    assert error.hint == "download it again"


def test_text_without_a_hint_is_the_message():
    assert str(DeviceError("no GPU")) == "no GPU"


@pytest.mark.parametrize("family", FAMILIES)
def test_pickling_keeps_kind_message_and_hint(family):
    copy = pickle.loads(pickle.dumps(family("broken", hint="mend it")))
    assert type(copy) is family
    assert (copy.message, copy.hint) == ("broken", "mend it")


def test_pickling_keeps_errors_with_another_constructor():
    copy = pickle.loads(pickle.dumps(WithOwnConstructor("lm_head.weight", expected=4)))
    assert type(copy) is WithOwnConstructor
    assert copy.weight == "lm_head.weight"
    assert str(copy) == "weight 'lm_head.weight' has not 4 bytes\n  Hint: download it again"


def test_pickling_keeps_notes():
    error = StoreError("broken")
    error.add_note("while opening x")
    assert pickle.loads(pickle.dumps(error)).__notes__ == ["while opening x"]


def test_nearest_names_lists_the_alike_best_first():
    known = ["buffered", "direct", "mmap"]
    assert nearest_names("bufered", known) == ("buffered",)
    assert nearest_names("qqqq", known) == ()
    assert nearest_names("layers.1", ["layers.1", "layers.10", "head"])[0] == "layers.1"


def test_nearest_names_takes_any_iterable_and_count():
    known = (f"layer{n}" for n in range(9))
    assert len(nearest_names("layer", known, count=2)) == 2


def test_all_lists_every_public_class():
    public = {
        name
        for name, value in vars(errors).items()
        if isinstance(value, type) and issubclass(value, Exception)
    }
    assert public <= set(errors.__all__)


@pytest.mark.parametrize(
    ("number", "hint"),
    [(errno.ENOSPC, "free some space"), (errno.EROFS, "read-only"), (errno.EMFILE, "ulimit -n"), (0, "all")],
    ids=["full", "read-only", "files", "unknown"],
)
def test_an_error_of_the_system_gets_the_hint_of_its_number(number, hint):
    assert hint in hint_for(OSError(number, "so it says"))


def test_a_missing_temporary_directory_is_found_behind_other_errors():
    missing = FileNotFoundError(errno.ENOENT, "No usable temporary directory found in ['/tmp', '/']")
    wrapped = RuntimeError("cannot import the model")
    wrapped.__cause__ = missing
    for err in (missing, wrapped):
        found = no_temporary_directory(err)
        assert isinstance(found, StoreError)
        assert "['/tmp', '/']" in found.message
        assert "TMPDIR" in found.hint
    assert no_temporary_directory(FileNotFoundError(errno.ENOENT, "No such file or directory")) is None


SOURCES = Path(errors.__file__).parent
# Nobody reads the hint of these: they end a session, a rank or a trial, and whoever asked gets another error.
UNSEEN = {"ProtocolError", "ConnectionEnded", "GangBroken", "CheckpointDamaged", "KernelUnavailable"}


def made_without_hint(trees):
    """`file:line` of each error that is made without a hint. Of classes with a constructor of their own, that
    constructor has to give one."""
    kinds, own = {family.__name__ for family in FAMILIES} | {"OutgrowError"}, set()
    classes = [node for tree in trees.values() for node in ast.walk(tree) if isinstance(node, ast.ClassDef)]
    for _ in range(4):  # no class is further from its family
        for node in classes:
            if any(isinstance(base, ast.Name) and base.id in kinds for base in node.bases):
                kinds.add(node.name)
                if "__init__" in {part.name for part in node.body if isinstance(part, ast.FunctionDef)}:
                    own.add(node.name)
    for name, tree in trees.items():
        for node in ast.walk(tree):
            if not isinstance(node, ast.Call):
                continue
            called = node.func.id if isinstance(node.func, ast.Name) else getattr(node.func, "attr", "")
            given = {part.arg: part.value for part in node.keywords}
            hint = given.get("hint", given.get(None))  # `**fields` may hold it
            is_empty = hint is None or (isinstance(hint, ast.Constant) and not hint.value)
            if called in kinds - own - UNSEEN and is_empty:
                yield f"{name}:{node.lineno}"


def test_every_error_that_outgrow_makes_has_a_hint():
    trees = {str(path.relative_to(SOURCES)): ast.parse(path.read_text()) for path in SOURCES.rglob("*.py")}
    assert not list(made_without_hint(trees))


def test_an_error_without_a_hint_is_found():
    code = """
class Damaged(StoreError): ...
class Own(StoreError):
    def __init__(self): super().__init__("x", hint="y")
def work():
    raise InputError("no")
    raise errors.StoreError("no", hint="")
    raise Damaged("no", hint=None)
    raise Damaged("yes", hint="do this")
    return Own()
"""
    assert list(made_without_hint({"a": ast.parse(code)})) == ["a:6", "a:7", "a:8"]
