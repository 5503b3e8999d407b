"""What a user calls a model leads to its files, or to an error that says what to do."""

import fnmatch
import sys

import pytest
from huggingface_hub import errors as hub_errors

from outgrow.errors import InputError
from outgrow.stream.model_path import ModelFiles, find_model


@pytest.fixture
def llama(tmp_path):
    folder = tmp_path / "llama"
    folder.mkdir()
    for name in ("config.json", "model.safetensors", "model.safetensors.index.json"):
        (folder / name).write_text("{}")
    return folder


@pytest.fixture
def hub(monkeypatch, tmp_path):
    """Stands in for the Hub: set what `snapshot_download` does."""

    def answer(download):
        monkeypatch.setattr("huggingface_hub.snapshot_download", download)

    monkeypatch.chdir(tmp_path)
    answer(lambda *_, **__: pytest.fail("asked the Hub"))
    return answer


def test_directory_is_opened_as_it_is(llama):
    assert find_model(llama) == ModelFiles(folder=llama, weights=llama, name=str(llama))
    assert find_model(str(llama)) == find_model(llama)


@pytest.mark.parametrize(
    ("name", "weights"),
    [
        ("model.safetensors", "model.safetensors"),
        ("model.safetensors.index.json", "model.safetensors.index.json"),
        ("config.json", ""),
    ],
)
def test_file_stands_for_the_model_in_its_directory(llama, name, weights):
    assert find_model(llama / name) == ModelFiles(folder=llama, weights=llama / weights, name=str(llama))


def test_relative_path_holds_in_another_directory(llama, monkeypatch):
    monkeypatch.chdir(llama.parent)
    assert find_model("llama") == ModelFiles(folder=llama, weights=llama, name="llama")


def test_home_is_expanded(llama, monkeypatch):
    monkeypatch.setenv("HOME", str(llama.parent))
    assert find_model("~/llama").folder == llama


@pytest.mark.parametrize("wrong", ["lama", "lama/model.safetensors"])
def test_missing_path_names_its_neighbours(llama, wrong):
    with pytest.raises(InputError, match="no model at") as caught:
        find_model(llama.parent / wrong)
    assert str(llama) in caught.value.hint


def test_path_in_an_existing_directory_is_no_hub_name(llama, hub):
    with pytest.raises(InputError, match="no model at") as caught:
        find_model(f"{llama.name}/modle.safetensors")
    assert "model.safetensors" in caught.value.hint


@pytest.mark.parametrize("wrong", ["nothing-like-it", "/no/such/place", "a b/c", "a/b/c", ""])
def test_nothing_is_asked_of_the_hub_for_what_cannot_be_there(hub, wrong):
    with pytest.raises(InputError) as caught:
        find_model(wrong)
    assert caught.value.hint


def test_hub_name_downloads_only_what_is_needed(llama, hub):
    def download(name, *, allow_patterns, ignore_patterns):
        assert name == "org/model"
        allowed.append(
            lambda file: (
                any(fnmatch.fnmatch(file, one) for one in allow_patterns)
                and not any(fnmatch.fnmatch(file, one) for one in ignore_patterns)
            )
        )
        return str(llama)

    allowed = []
    hub(download)
    assert find_model("org/model") == ModelFiles(folder=llama, weights=llama, name="org/model")
    assert all(map(allowed[0], ["config.json", "model-00001-of-00002.safetensors", "tokenizer.model"]))
    assert not any(
        map(
            allowed[0],
            ["pytorch_model.bin", "own.py", "consolidated.safetensors", "README.md", "original/a.json"],
        )
    )
    find_model("org/model", trust_remote_code=True)
    assert allowed[1]("own.py")
    find_model("org/model", config_only=True)
    assert allowed[2]("config.json")
    assert not allowed[2]("model.safetensors")


def http_error(kind):
    import httpx2 as httpx

    return kind("refused", response=httpx.Response(404, request=httpx.Request("GET", "https://hub")))


@pytest.mark.parametrize(
    ("error", "message", "hint"),
    [
        (lambda: hub_errors.LocalEntryNotFoundError("offline"), "cannot be reached", "go online"),
        (lambda: http_error(hub_errors.GatedRepoError), "accepted its terms", "hf auth login"),
        (lambda: http_error(hub_errors.RepositoryNotFoundError), "neither a path here nor", "spelling"),
        (lambda: hub_errors.HFValidationError("bad name"), "did not give 'org/model': bad name", ""),
        (lambda: ConnectionError("refused"), "did not give 'org/model': refused", ""),
    ],
    ids=["offline", "gated", "unknown", "invalid", "connection"],
)
def test_what_the_hub_answers_is_made_clear(hub, error, message, hint):
    def download(*_args, **_options):
        raise error()

    hub(download)
    with pytest.raises(InputError, match=message) as caught:
        find_model("org/model")
    assert hint in (caught.value.hint or "")


def test_hub_name_without_huggingface_hub_gives_the_pip_line(hub, monkeypatch):
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    with pytest.raises(InputError) as caught:
        find_model("org/model")
    assert caught.value.hint == "pip install 'outgrow[hf]'"


@pytest.mark.parametrize("name", ["pytorch_model.bin", "model.gguf", "model.pt"])
def test_other_formats_are_pointed_to_convert(tmp_path, name):
    (tmp_path / name).write_bytes(b"GGUF")
    for path in (tmp_path, tmp_path / name):
        with pytest.raises(InputError) as caught:
            find_model(path)
        assert f"outgrow store convert {tmp_path / name}" in caught.value.hint


def test_directory_without_config_is_refused(llama):
    (llama / "config.json").unlink()
    for path in (llama, llama / "model.safetensors"):
        with pytest.raises(InputError, match=r"has no config\.json"):
            find_model(path)


def test_adapter_is_refused(llama):
    (llama / "adapter_config.json").write_text("{}")
    with pytest.raises(InputError, match="adapter") as caught:
        find_model(llama)
    assert "merge_and_unload" in caught.value.hint


def test_file_that_is_no_checkpoint_is_refused(llama):
    (llama / "notes.md").write_text("hello")
    with pytest.raises(InputError, match="is not a model"):
        find_model(llama / "notes.md")
