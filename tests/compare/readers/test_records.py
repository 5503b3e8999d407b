import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from outgrow.capture.recording import Refusal
from outgrow.compare.readers.file_reader import FileContent, FoundTensor
from outgrow.compare.readers.records import records_of


def found(*inner, refused=()):
    return FileContent(
        records=tuple(
            FoundTensor(inner=name, dtype=torch.float32, shape=(1,), read=lambda: torch.ones(1))
            for name in inner
        ),
        refused=tuple(refused),
    )


def names(*files, only="*"):
    return [record.name for record in records_of(files, only=only)[0]]


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        ([("run/0_query.pth", [""]), ("run/0_key.pth", [""])], ["0_key", "0_query"]),
        ([("10_q.pth", [""]), ("2_q.pth", [""])], ["2_q", "10_q"]),
        ([("x.pth", ["a", "b[0]", "b[1]"]), ("y.pth", [""])], ["x/a", "x/b[0]", "x/b[1]", "y"]),
        ([("x.pth", ["[0]", "[1]"]), ("y.pth", [""])], ["x[0]", "x[1]", "y"]),
        ([("x.pth", ["a", "b"])], ["a", "b"]),
        ([("x.pth", ["[0]", "[1]"])], ["[0]", "[1]"]),
        ([("x.pth", [""])], ["x"]),
        ([("x.pth", ["", ".codes"])], ["x", "x.codes"]),
        ([("x.pth", ["a"]), ("broken.pth", [])], ["a"]),
        ([("a/x.pth", [""]), ("b/x.pth", [""])], ["a/x", "b/x"]),
        ([("d/a/x.pth", [""]), ("d/b/x.pth", [""]), ("d/b/y.pth", [""])], ["a/x", "b/x", "b/y"]),
        ([("x.npy", [""]), ("x.pth", [""])], ["x.npy", "x.pth"]),
        ([("m-00001-of-00002.safetensors", ["a"]), ("m-00002-of-00002.safetensors", ["b"])], ["a", "b"]),
        (
            [("m-00001-of-00001.safetensors", ["a"]), ("n.pth", [""])],
            ["m/a", "n"],
        ),
        ([("v1.2.pth", [""])], ["v1.2"]),
    ],
    ids=range(15),
)
def test_names_are_as_the_reference_says(files, expected):
    assert names(*((entry, found(*inner)) for entry, inner in files)) == expected


def test_order_is_that_of_the_files_and_then_within_them():
    records, _ = records_of([("b.pth", found("z", "a")), ("a.pth", found(""))])
    assert [(record.sequence, record.name) for record in records] == [(0, "a"), (1, "b/z"), (2, "b/a")]


def test_only_is_a_glob_on_names():
    files = [("x.pth", found("a", "b")), ("y.pth", found("a"))]
    assert names(*files, only="*/a") == ["x/a", "y/a"]
    assert names(*files, only="x/*") == ["x/a", "x/b"]


@pytest.mark.parametrize(
    "files",
    [
        [("x.pth", found("a", "a")), ("y.pth", found(""))],
        [("m-00001-of-00002.bin", found("a")), ("m-00002-of-00002.bin", found("a", "b"))],
    ],
    ids=["in a file", "in parts of a model"],
)
def test_of_two_tensors_with_one_name_none_is_believed(files):
    records, refused = records_of(files)
    assert [record.name for record in records] in (["y"], ["b"])
    assert [refusal.reason.partition(": ")[0].endswith("none is believed") for refusal in refused] == [
        True
    ] * 2
    assert {refusal.entry.rpartition("/")[2] for refusal in refused} == {"a"}


def test_refusals_of_all_files_are_kept():
    _, refused = records_of([("x.pth", found(refused=[Refusal(entry="x.pth/\ud800", reason="odd \udcff")]))])
    assert refused == (Refusal(entry="x.pth/\\ud800", reason="odd \\udcff"),)


PARTS = st.text(st.characters(exclude_characters="/"), min_size=1, max_size=5).filter(
    lambda part: part not in ("..", ".")
)


@given(
    files=st.dictionaries(
        st.lists(PARTS, min_size=1, max_size=3).map(lambda parts: "/".join(parts) + ".pth"),
        st.lists(st.text(max_size=4), max_size=3),
        max_size=6,
    )
)
def test_names_are_unique_text_whatever_the_files_are_called(files):
    records, refused = records_of([(entry, found(*inner)) for entry, inner in files.items()])
    given_names = [record.name for record in records]
    assert len(set(given_names)) == len(given_names)
    assert all(name.encode("utf-8") for name in given_names if name)
    assert len(records) + len(refused) == sum(map(len, files.values()))
