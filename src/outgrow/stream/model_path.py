"""From what a user calls a model (a directory, a file, a name on the Hugging Face Hub) to its files here."""

__all__ = ["ModelFiles", "find_model"]

import re
from dataclasses import dataclass
from pathlib import Path

from outgrow.errors import InputError, nearest_names

_HUB_NAME = re.compile(r"[\w][\w.-]*/[\w][\w.-]*", re.ASCII)
_FOREIGN = (".bin", ".gguf", ".pt", ".pth", ".ckpt")
_WANTED = ("*.safetensors", "*.json", "*.jinja", "*.model", "*.tiktoken", "*.txt", "tokenizer*")
# Copies of the weights under their authors' own names, which transformers would not load.
_UNWANTED = ("consolidated*", "original/*", "onnx/*", "*.bin")


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelFiles:
    """Where a model's files are."""

    folder: Path
    """The directory with `config.json`."""
    weights: Path
    """What to open as a checkpoint: the folder, or the very file that was asked for."""
    name: str
    """What the user called it, as it goes into `model.config.name_or_path`."""


def find_model(path: Path | str, *, trust_remote_code: bool = False, config_only: bool = False) -> ModelFiles:
    """The files of the model that `path` names; a Hub name like `org/model` is downloaded or found in the
    cache.

    Of a Hub repository only safetensors, JSON and tokenizer files are fetched, and Python files only with
    `trust_remote_code`; with `config_only` nothing but its config.

    Raises:
        InputError: there is no such path, it is no Hugging Face model, or the Hub does not give it.
    """
    given: object = path
    if not isinstance(given, str | Path) or not str(given):
        raise InputError(
            f"a model's path must be text or a Path, not {given!r}",
            hint="give the directory of a downloaded model, a file in it, or a name on the Hub",
        )
    # Absolute: weights are read long after this, perhaps from another working directory.
    local = Path(path).expanduser().absolute()
    if not local.exists():
        name = str(path)
        if isinstance(path, str) and _HUB_NAME.fullmatch(name) and not Path(path).parent.exists():
            return _downloaded(name, trust_remote_code=trust_remote_code, config_only=config_only)
        raise _not_found(local)
    if local.is_dir():
        return ModelFiles(folder=_checked_folder(local), weights=local, name=str(path))
    if local.suffix in _FOREIGN:
        raise InputError(
            f"{str(local)!r} is not a safetensors checkpoint",
            hint=f"run `outgrow store convert {local} NEW_DIRECTORY` first",
        )
    if local.name == "config.json":
        return ModelFiles(folder=_checked_folder(local.parent), weights=local.parent, name=str(local.parent))
    if not local.name.endswith((".safetensors", ".index.json")):
        raise InputError(
            f"{str(local)!r} is not a model: expected a directory, a .safetensors file or a .index.json",
            hint="give the directory of a downloaded model",
        )
    return ModelFiles(folder=_checked_folder(local.parent), weights=local, name=str(local.parent))


def _checked_folder(folder: Path) -> Path:
    if (folder / "adapter_config.json").is_file():
        raise InputError(
            f"{str(folder)!r} holds an adapter (adapter_config.json), not a model alone",
            hint="merge it into its base model first: peft's `merge_and_unload()`, then `save_pretrained()`",
        )
    if (folder / "config.json").is_file():
        return folder
    foreign = sorted(file.name for file in folder.iterdir() if file.suffix in _FOREIGN)
    hint = (
        "give the directory of a downloaded model, or build the model yourself and use outgrow.stream.offload"
    )
    if foreign:
        hint = f"run `outgrow store convert {folder / foreign[0]} NEW_DIRECTORY` first"
    raise InputError(
        f"{str(folder)!r} has no config.json, so that nobody can say which model it is", hint=hint
    )


def _not_found(path: Path) -> InputError:
    above = path.parent
    while not above.exists():
        path, above = above, above.parent
    # A file's name can only be missed by a spelling; in a missing directory it does not matter any more.
    siblings = [sibling.name for sibling in above.iterdir()] if above.is_dir() else []
    near = nearest_names(path.name, siblings)
    hint = "give the directory of a downloaded model, or a name on the Hub such as `org/model`"
    if near:
        hint = "did you mean " + " or ".join(repr(str(above / name)) for name in near) + "?"
    return InputError(f"no model at {str(path)!r}: no such file or directory", hint=hint)


def _downloaded(name: str, *, trust_remote_code: bool, config_only: bool) -> ModelFiles:
    try:
        from huggingface_hub import snapshot_download
        from huggingface_hub.errors import GatedRepoError, LocalEntryNotFoundError, RepositoryNotFoundError
    except ImportError as err:
        raise InputError(
            f"{name!r} is not a path here, and asking the Hugging Face Hub for it needs huggingface_hub",
            hint="pip install 'outgrow[hf]'",
        ) from err
    wanted = ["config.json"] if config_only else [*_WANTED]
    if trust_remote_code:
        wanted.append("*.py")
    try:
        folder = Path(snapshot_download(name, allow_patterns=wanted, ignore_patterns=list(_UNWANTED)))
    except GatedRepoError as err:
        raise InputError(
            f"the Hugging Face Hub gives {name!r} only to those who accepted its terms",
            hint="accept them on the model's page, then run `hf auth login`",
        ) from err
    except RepositoryNotFoundError as err:
        raise InputError(
            f"no model {name!r}: neither a path here nor a repository on the Hugging Face Hub",
            hint="look at the spelling; a private repository needs `hf auth login`",
        ) from err
    except LocalEntryNotFoundError as err:
        raise InputError(
            f"no model {name!r}: it is no path here, not in the Hub's cache, and the Hub cannot be reached",
            hint="go online, or copy the model to this machine and give its directory",
        ) from err
    except (OSError, ValueError) as err:
        raise InputError(
            f"the Hugging Face Hub did not give {name!r}: {err}",
            hint="see its spelling and your network, or download it by hand and give its directory",
        ) from err
    return ModelFiles(folder=_checked_folder(folder), weights=folder, name=name)
