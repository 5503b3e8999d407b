"""An archive opens without the class, gives the same bits, learns on, and is refused where it is damaged."""

import copy
import dataclasses
import json
import subprocess
import sys

import pytest
import torch
from torch import nn

from outgrow import evolve
from outgrow.errors import InputError, StoreError
from outgrow.evolve.archive import (
    ArchiveCorrupt,
    GraphUnreadable,
    NotSaved,
    archive_file,
    load,
    replay,
    save,
)
from outgrow.evolve.errors import EditUnreadable
from outgrow.store import read_header
from tests.evolve.archive.fresh import facts
from tests.evolve.archive.models import Odd, gpt2, llama

IDS = {"input_ids": torch.arange(12).reshape(2, 6)}


def grown():
    """An odd model that was widened, with its edit, its example and itself before."""
    torch.manual_seed(0)
    before = Odd()
    model, x = copy.deepcopy(before), torch.randn(3, 1, 6, 6)
    edit = evolve.widen(model, "stem", by=2, example_inputs=x)
    return model, [edit], x, before


@pytest.fixture(scope="module")
def odd(tmp_path_factory):
    """The archive of a grown model, with what it was made of."""
    model, edits, x, before = grown()
    path = save(model, tmp_path_factory.mktemp("odd") / "odd.archive", edits=edits, example_inputs=x)
    return path, model, edits, x, before


def test_archives_open_in_a_fresh_process_without_the_class(tmp_path):
    torch.manual_seed(1)
    models = {
        "odd": (grown()[0], {"x": torch.randn(3, 1, 6, 6)}),
        "gpt2": (gpt2(), IDS),
        "llama": (llama(), IDS),
    }
    for name, (model, given) in models.items():
        save(model, tmp_path / f"{name}.archive", example_inputs=given)
        torch.save(given, tmp_path / f"{name}.inputs")
    words = [sys.executable, "-m", "tests.evolve.archive.fresh", str(tmp_path)]
    done = subprocess.run(words, capture_output=True, text=True, timeout=280)
    assert done.returncode == 0, done.stderr
    for name, (model, given) in models.items():
        expected = facts(model, given)
        actual = read_all(tmp_path / f"{name}.facts")
        assert actual.keys() == expected.keys()
        differing = [key for key in expected if not torch.equal(actual[key], expected[key])]
        assert not differing, name


def read_all(path):
    metas, _ = read_header(path)
    data = path.read_bytes()
    return {
        name: torch.frombuffer(
            bytearray(data[meta.offset : meta.offset + meta.nbytes]), dtype=meta.dtype
        ).reshape(meta.shape)
        for name, meta in metas.items()
    }


def test_saving_leaves_the_model_as_it_was(tmp_path):
    model, edits, x, _ = grown()
    model.train()
    model.dropout.eval()
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    modes = [module.training for module in model.modules()]
    state = torch.get_rng_state()
    save(model, tmp_path / "a", edits=edits, example_inputs=x)
    assert all(torch.equal(before[name], tensor) for name, tensor in model.state_dict().items())
    assert modes == [module.training for module in model.modules()]
    assert torch.equal(torch.get_rng_state(), state)


def test_ties_frozen_weights_and_names_stay(odd):
    path, model, _, _, _ = odd
    loaded = load(path)
    assert loaded.one.weight is loaded.other.weight
    assert not loaded.frozen.requires_grad
    assert loaded.state_dict().keys() == model.state_dict().keys()
    assert [name for name, _ in loaded.named_parameters()] == [name for name, _ in model.named_parameters()]


@pytest.mark.parametrize("batch", [1, 2, 7])
def test_the_batch_may_have_any_size(odd, batch):
    path, model, _, _, _ = odd
    x = torch.randn(batch, 1, 6, 6)
    assert torch.equal(load(path)(x), copy.deepcopy(model).eval()(x))


def test_a_loaded_model_can_be_copied_and_saved_again(odd, tmp_path):
    path, _, _, x, _ = odd
    loaded = load(path)
    again = save(copy.deepcopy(loaded), tmp_path / "again", edits=loaded.edits, example_inputs=x)
    assert torch.equal(load(again)(x), loaded(x))


def test_edits_and_weights_go_onto_the_class(odd):
    path, model, edits, x, before = odd
    fresh = copy.deepcopy(before)
    weight = fresh.stem.weight
    assert load(path, model=fresh) is fresh
    assert fresh.stem.weight is weight
    assert torch.equal(fresh(x), copy.deepcopy(model).eval()(x))
    assert [edit.operator for edit in load(path).edits] == [edit.operator for edit in edits]


def test_a_model_of_another_class_stays_as_it_was(odd):
    path, _, _, _, _ = odd
    other = Odd()
    other.other = nn.Linear(4, 5)
    before = {name: tensor.clone() for name, tensor in other.state_dict().items()}
    with pytest.raises(InputError):
        load(path, model=other)
    assert all(torch.equal(before[name], tensor) for name, tensor in other.state_dict().items())
    assert other.stem.out_channels == 3


def test_replay_makes_the_same_weights(odd):
    _, model, edits, x, before = odd
    fresh = copy.deepcopy(before)
    replay(fresh, edits, example_inputs=x)
    assert all(torch.equal(tensor, fresh.state_dict()[name]) for name, tensor in model.state_dict().items())


@pytest.mark.parametrize(
    "wrong", [{"operator": "fold"}, {"arguments": {"inches": 2}}], ids=["name", "arguments"]
)
def test_nothing_is_replayed_where_one_edit_cannot_be(odd, wrong):
    _, _, edits, x, before = odd
    fresh = copy.deepcopy(before)
    with pytest.raises((InputError, EditUnreadable)):
        replay(fresh, [*edits, dataclasses.replace(edits[0], **wrong)], example_inputs=x)
    assert all(torch.equal(tensor, fresh.state_dict()[name]) for name, tensor in before.state_dict().items())


def test_nothing_is_written_over_unless_asked(odd, tmp_path):
    _, model, _, x, _ = odd
    path = tmp_path / "a"
    path.write_text("mine")
    with pytest.raises(InputError, match="is there already"):
        save(model, path, example_inputs=x, graph=False)
    assert path.read_text() == "mine"
    save(model, path, example_inputs=x, graph=False, overwrite=True)
    with pytest.raises(InputError, match="is there already"):
        save(model, tmp_path, example_inputs=x, graph=False, overwrite=True)


def test_without_a_graph_it_needs_the_class(odd, tmp_path):
    _, model, edits, x, before = odd
    path = save(model, tmp_path / "a", edits=edits, example_inputs=x, graph=False)
    with pytest.raises(InputError, match=r"of tests\.evolve\.archive\.models\.Odd, but no graph"):
        load(path)
    assert torch.equal(load(path, model=copy.deepcopy(before))(x), copy.deepcopy(model).eval()(x))


def test_a_full_disk_leaves_nothing_half_written(odd, tmp_path, monkeypatch):
    _, model, _, x, _ = odd
    (tmp_path / "a").write_text("mine")

    def full(*_args):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("outgrow.store.writer.os.fsync", full)
    with pytest.raises(StoreError, match="no space for"):
        save(model, tmp_path / "a", example_inputs=x, graph=False, overwrite=True)
    assert [(path.name, path.read_text()) for path in tmp_path.iterdir()] == [("a", "mine")]


class TestDamage:
    def test_every_changed_byte_is_noticed(self, odd, tmp_path):
        data = odd[0].read_bytes()
        path = tmp_path / "a"
        load(odd[0])
        unnoticed = []
        # In the header, in the manifest, and in every tensor; padding alone may be anything.
        for at in range(0, len(data), max(len(data) // 60, 1)):
            damaged = bytearray(data)
            damaged[at] ^= 0x10
            path.write_bytes(damaged)
            try:
                load(path)
            except (ArchiveCorrupt, InputError):
                continue
            unnoticed.append(data[at : at + 1])
        assert set(unnoticed) <= {b" "}

    @pytest.mark.parametrize("share", [0.0, 0.1, 0.5, 0.99])
    def test_an_archive_that_was_cut_short_is_named(self, odd, tmp_path, share):
        data = odd[0].read_bytes()
        (tmp_path / "a").write_bytes(data[: int(len(data) * share)])
        with pytest.raises(ArchiveCorrupt):
            load(tmp_path / "a")

    def test_what_is_no_archive_is_named(self, odd, tmp_path):
        from outgrow.store import write_safetensors

        with pytest.raises(InputError, match="no such file"):
            load(tmp_path / "gone")
        with pytest.raises(InputError, match="is a directory"):
            load(tmp_path)
        write_safetensors(tmp_path / "plain", {"a": torch.ones(2)})
        with pytest.raises(InputError, match="is a safetensors file, and not"):
            load(tmp_path / "plain")
        (tmp_path / "text").write_text("hello, this is a text of some length")
        with pytest.raises(ArchiveCorrupt, match="is no whole archive"):
            load(tmp_path / "text")

    def test_a_newer_version_is_named(self, odd, tmp_path, monkeypatch):
        monkeypatch.setattr(archive_file, "VERSION", 2)
        path = save(odd[1], tmp_path / "a", example_inputs=odd[3], graph=False)
        monkeypatch.undo()
        with pytest.raises(InputError, match=r"version 2, written by outgrow .*\n.*update outgrow"):
            load(path)

    def test_a_missing_tensor_is_named(self, odd, tmp_path):
        content = archive_file.read_archive(odd[0])
        described = dict(content.manifest["tensors"])
        tensors = {name: tensor for name, tensor in content.tensors.items() if name != "conv.bias"}
        rewrite(tmp_path / "a", {**content.manifest, "tensors": described}, tensors)
        with pytest.raises(ArchiveCorrupt, match=r"tensor 'conv\.bias' of .* is missing"):
            load(tmp_path / "a")

    @pytest.mark.parametrize(
        ("op", "words"),
        [
            ("aten.not_an_op.default", "has not.*; it was written by torch"),
            ("aten.from_file.default", "which no archive may"),
            ("prims.add.default", "which no archive may"),
            ("os.system.default", "which no archive may"),
        ],
    )
    def test_an_op_that_cannot_be_called_is_named(self, odd, tmp_path, op, words):
        def exchanged(graph):
            graph["steps"][0]["op"] = op

        with pytest.raises(GraphUnreadable, match=words) as error:
            load(edited(odd[0], tmp_path / "a", exchanged))
        assert "model=" in error.value.hint

    @pytest.mark.parametrize(
        "change",
        [
            lambda graph: graph.pop("steps"),
            lambda graph: graph["steps"].append({"op": "getitem", "args": [{"value": 10**9}], "to": 1}),
            lambda graph: graph["steps"][0].update(args=[{"import": "os"}]),
            lambda graph: graph.update(outputs=[{"value": -1}]),
            lambda graph: graph.update(steps=7),
        ],
        ids=["no steps", "too early", "argument", "output", "number"],
    )
    def test_a_manifest_that_makes_no_sense_is_refused(self, odd, tmp_path, change):
        with pytest.raises(ArchiveCorrupt, match="makes no sense"):
            load(edited(odd[0], tmp_path / "a", change))


def edited(source, path, change):
    """An archive whose graphs were changed by somebody who knows how to compute digests."""
    content = archive_file.read_archive(source)
    manifest = json.loads(json.dumps(content.manifest))
    for graph in manifest["graphs"].values():
        change(graph)
    rewrite(path, manifest, content.tensors)
    return path


def rewrite(path, manifest, tensors):
    from outgrow.store import write_safetensors

    text = json.dumps(manifest)
    metadata = {"format": archive_file.ARCHIVE, "version": "1", "manifest": text}
    write_safetensors(path, tensors, metadata | {"digest": archive_file._digest(text.encode())})


class TestCalls:
    @pytest.mark.parametrize(
        ("args", "kwargs", "words"),
        [
            ((), {}, "the argument 'x' is missing"),
            ((1, 2), {}, "called with 2 positional arguments"),
            ((torch.zeros(1, 1, 6, 6),), {"x": torch.zeros(1)}, "'x' is given twice"),
            ((torch.zeros(1, 1, 6, 6),), {"mask": torch.zeros(1)}, "the graph has no argument 'mask'"),
            ((torch.zeros(1, 1, 6, 5),), {}, r"shape \[1, 1, 6, 5\], expected \[batch, 1, 6, 6\]"),
            (
                (torch.zeros(1, 1, 6, 6, dtype=torch.float64),),
                {},
                "is of torch.float64, expected torch.float32",
            ),
            (([torch.zeros(1)],), {}, "not of the form"),
        ],
    )
    def test_another_call_than_the_saved_one_is_refused(self, odd, args, kwargs, words):
        with pytest.raises(InputError, match=words):
            load(odd[0])(*args, **kwargs)

    def test_outputs_keep_their_names(self, tmp_path):
        path = save(llama(), tmp_path / "a", example_inputs=IDS)
        output = load(path)(**IDS)
        assert output.logits is output["logits"] is output[0]
        assert list(output) == ["logits"]
        with pytest.raises(AttributeError):
            output.loss  # noqa: B018


class _Branching(nn.Linear):
    def forward(self, x):
        return super().forward(x) if x.sum() > 0 else x


class _Noisy(nn.Linear):
    calls = 0

    def forward(self, x):
        type(self).calls += 1
        return super().forward(x) * type(self).calls


def test_what_cannot_be_traced_is_refused_with_a_way_out(tmp_path):
    with pytest.raises(NotSaved, match=r"torch\.export cannot trace.*\n.*graph=False"):
        save(_Branching(3, 3), tmp_path / "a", example_inputs=torch.ones(2, 3))
    assert not list(tmp_path.iterdir())


def test_a_graph_that_gives_something_else_is_not_written(tmp_path):
    with pytest.raises(NotSaved, match="gives other outputs than the model"):
        save(_Noisy(3, 3), tmp_path / "a", example_inputs=torch.ones(2, 3))
    assert not list(tmp_path.iterdir())


def test_a_model_on_two_devices_is_refused(tmp_path):
    model = nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 2).to("meta"))
    with pytest.raises(NotSaved, match="on several devices: cpu, meta"):
        save(model, tmp_path / "a", example_inputs=torch.ones(2, 2))


def test_the_file_holds_no_pickle(odd):
    data = odd[0].read_bytes()
    assert b"ctorch" not in data
    assert b"PK\x03\x04" not in data
    assert read_header(odd[0])[1]["format"] == "outgrow.evolve.archive"
