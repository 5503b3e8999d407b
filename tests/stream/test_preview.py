import json

import pytest
import torch

from outgrow.devices.measure import BandwidthSample
from outgrow.errors import DeviceError, InputError
from outgrow.stream import BudgetTooSmall, prediction
from outgrow.stream.attachment import stream_of
from outgrow.stream.model import closing, load
from outgrow.stream.preview import preview_model
from tests.stream.tiny_models import SMALL, make_model, save, write_holes

transformers = pytest.importorskip("transformers")

LARGER = {**SMALL, "hidden_size": 256, "intermediate_size": 1024, "num_hidden_layers": 3, "head_dim": 64}


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return save(make_model("LlamaForCausalLM", LARGER), tmp_path_factory.mktemp("model"))


@pytest.fixture
def disk(monkeypatch):
    """A disk of 2 GB/s; the list holds what was read of it."""
    reads = []

    def probe(path, *, mode, nbytes, num_threads):
        reads.append((path, nbytes))
        return BandwidthSample(bytes=nbytes, seconds=nbytes / 2e9, mode=mode)

    monkeypatch.setattr(prediction, "probe_read_bandwidth", probe)
    return reads


def test_a_preview_is_the_plan_that_load_makes(model, disk):
    preview = preview_model(model, budget_bytes=2_000_000)
    with closing(load(model, 2_000_000)) as streamed:
        plan = stream_of(streamed).plan
    assert preview.plan == plan
    assert preview.architecture == "LlamaForCausalLM"
    assert preview.dtype == torch.bfloat16
    assert 0 < preview.plan.pass_bytes < preview.plan.weights_bytes


def test_no_weight_is_read(model, monkeypatch):
    def fail(*arguments, **options):
        raise AssertionError("a weight was read")

    monkeypatch.setattr("outgrow.stream.source.read_rows", fail)
    monkeypatch.setattr("outgrow.stream.loader.Loader.__init__", fail)
    preview_model(model, budget_bytes=2_000_000, is_probed=False)


def test_kinds_account_for_every_byte(model, disk):
    preview = preview_model(model, budget_bytes=2_000_000)
    kinds = preview.kinds()
    assert sum(kind.nbytes for kind in kinds) == preview.plan.weights_bytes
    assert sum(kind.resident_bytes for kind in kinds) == preview.plan.resident_bytes
    assert all(kind.resident_bytes + kind.streamed_bytes + kind.row_bytes == kind.nbytes for kind in kinds)
    by_name = {kind.name: kind for kind in kinds}
    assert by_name["model.layers.*.mlp.up_proj.weight"].count == 3
    assert kinds[0].name == "model.embed_tokens.weight"


def test_reading_is_predicted_from_the_measured_disk(model, disk):
    preview = preview_model(model, budget_bytes=2_000_000)
    found = preview.prediction
    assert found.bandwidth_source == "measured"
    assert found.bytes_per_second == pytest.approx(2e9)
    assert found.read_seconds == pytest.approx(preview.plan.pass_bytes / 2e9)
    assert found.seconds_per_token == max(found.read_seconds, found.compute_seconds)
    assert {path.parent for path, _ in disk} == {model}


def test_a_given_bandwidth_is_taken_and_nothing_measured(model, disk):
    found = preview_model(model, budget_bytes=2_000_000, bytes_per_second=1e3).prediction
    assert (found.bandwidth_source, found.bytes_per_second, found.limit) == ("given", 1e3, "disk")
    assert disk == []


def test_without_a_probe_there_is_no_prediction_where_something_streams(model, disk):
    found = preview_model(model, budget_bytes=2_000_000, is_probed=False).prediction
    assert (found.seconds_per_token, found.limit) == (None, "unknown")
    assert disk == []


def test_where_everything_fits_only_computing_counts(model):
    found = preview_model(model, budget_bytes=10**9, is_probed=False)
    assert found.plan.streams_nothing
    assert found.prediction.read_seconds == 0.0
    assert found.prediction.seconds_per_token == found.prediction.compute_seconds > 0
    assert found.prediction.limit == "compute"


def test_a_disk_that_cannot_be_measured_is_said(model, monkeypatch):
    def fail(*arguments, **options):
        raise DeviceError("the disk refuses")

    monkeypatch.setattr(prediction, "probe_read_bandwidth", fail)
    found = preview_model(model, budget_bytes=2_000_000).prediction
    assert found.bandwidth_source == "not measured: the disk refuses"


def test_a_config_alone_gives_the_same_plan_as_its_model(model, disk, tmp_path):
    (tmp_path / "config.json").write_bytes((model / "config.json").read_bytes())
    here = preview_model(model, budget_bytes=2_000_000)
    for path in (tmp_path, tmp_path / "config.json"):
        disk.clear()
        imagined = preview_model(path, budget_bytes=2_000_000)
        assert not imagined.has_weights
        assert imagined.plan.weights_bytes == here.plan.weights_bytes
        # Offsets within pages differ: a few pieces read a page more or less.
        assert imagined.plan.pass_bytes == pytest.approx(here.plan.pass_bytes, rel=0.1)
        assert "not here" in imagined.prediction.bandwidth_source
        assert disk == []


def test_files_of_holes_are_not_measured(tmp_path, disk):
    made = make_model("LlamaForCausalLM", LARGER)
    made.config.save_pretrained(tmp_path)
    write_holes(made, tmp_path, 2)
    found = preview_model(tmp_path, budget_bytes=2_000_000).prediction
    assert "holes" in found.bandwidth_source
    assert disk == []


def test_the_least_budget_works_and_a_smaller_one_names_it(model):
    least = preview_model(model, budget_bytes=2_000_000, is_probed=False).least_bytes
    preview_model(model, budget_bytes=least, is_probed=False)
    with pytest.raises(BudgetTooSmall) as caught:
        preview_model(model, budget_bytes=least // 2, is_probed=False)
    assert "least budget that works" in caught.value.hint


def test_a_missing_model_is_an_error(tmp_path):
    with pytest.raises(InputError, match="no model at"):
        preview_model(tmp_path / "nowhere", budget_bytes=1_000_000)


def test_as_dict_is_json(model):
    figures = json.loads(json.dumps(preview_model(model, budget_bytes=2_000_000, is_probed=False).as_dict()))
    assert figures["dtype"] == "bfloat16"
    assert figures["prediction"]["compute_source"] == "estimated"
    assert figures["kinds"][0]["row_bytes"] >= 0


@pytest.mark.parametrize("is_cached", [True, False], ids=["cached", "not cached"])
def test_of_a_model_on_the_hub_only_the_config_is_fetched(model, monkeypatch, tmp_path, is_cached):
    import huggingface_hub

    fetched = []

    def snapshot_download(name, *, allow_patterns, **options):
        fetched.append((name, allow_patterns))
        (tmp_path / "config.json").write_bytes((model / "config.json").read_bytes())
        return str(model if is_cached else tmp_path)

    monkeypatch.setattr(huggingface_hub, "snapshot_download", snapshot_download)
    preview = preview_model("org/model", budget_bytes=2_000_000, is_probed=False)
    assert preview.name == "org/model"
    assert preview.has_weights is is_cached
    assert fetched == [("org/model", ["config.json"])]
