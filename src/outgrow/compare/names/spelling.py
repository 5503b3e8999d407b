"""A tensor's name, taken apart: wrappers, tower, layer, expert, what is left, and what of it."""

__all__ = ["NOT_SPELLED", "Speller", "Spelling", "layer_span", "squeeze"]

import re
from dataclasses import dataclass

from outgrow.capture.recording import Record

_DIGITS = re.compile(r"([0-9]+)")
_ZEROS = re.compile(r"(?<![0-9])0+(?=[0-9])")
_WORDS = re.compile(r"[^\W_]+")
_SEPARATORS = re.compile(r"[^\w\0]+|_+")
_BETWEEN_DIGITS = re.compile(r"(?<=[0-9])(?:[^\w\0]|_)+(?=[0-9])")
_LAYER = re.compile(
    r"(?:^|(?<=[^0-9A-Za-z]))(?:layers?|h|blocks?|blk|l|resblocks)[^0-9A-Za-z]?"
    r"([0-9]{1,9})(?![0-9A-Za-z])",
    re.IGNORECASE,
)
_LEADING_LAYER = re.compile(r"^([0-9]{1,9})(?=[._/\-]|$)")
_EXPERT = re.compile(r"experts?[^0-9A-Za-z]([0-9]{1,9})(?![0-9A-Za-z])", re.IGNORECASE)

# What torch.compile, DDP, FSDP, activation checkpointing and PEFT put into names, wherever it stands.
_INSERTED = re.compile(
    r"(?:(?<=[./])|^)(?:_orig_mod|_fsdp_wrapped_module|_checkpoint_wrapped_module|_fpw_module|base_layer)(?:[./]|$)",
    re.IGNORECASE,
)
# What stands in front of a model within a larger one.
_WRAPPED = re.compile(
    r"(?:[\W_]*(?:base[\W_]+model|gpt[\W_]+neox|language[\W_]+model|text[\W_]+model|orig[\W_]+mod|module|model|transformer"
    r"|bert|roberta|distilbert|electra|vit|backbone|net|network)(?![^\W_]))*[\W_]*",
    re.IGNORECASE,
)
_LEAVES = re.compile(
    r"(?:(?:^|[._/-])(?:weight|bias|kernel|gamma|beta|grad|exp_avg|exp_avg_sq|max_exp_avg_sq|momentum_buffer"
    r"|qweight|qzeros|scales|g_idx|weight_scale|weight_scale_inv|input_scale|lora_[ab]|inv_freq))+$",
    re.IGNORECASE,
)
_IN_AND_OUT = re.compile(
    r"(?<=[^./])[./](?:outputs?|inputs?)(?:[./][0-9]+|\[[^\[\]]*\])*(?:[./]grad)?$", re.IGNORECASE
)
_SAME_LEAF = {"kernel": "weight", "gamma": "weight", "beta": "bias", "outputs": "output", "inputs": "input"}
_WHAT = {"output": "outputs", "input": "inputs"}
# No more of a name is searched for its leaf, so that one of many thousand `.weight` costs nothing.
_LEAF_LENGTH = 200
_OPTIMIZER = ("exp.avg", "momentum.buffer", "max.exp")
_ACTIVATIONS = ("outputs", "inputs")


@dataclass(frozen=True, slots=True)
class Spelling:
    """A name without its accidents: case, separators, wrappers and zeros in front of numbers are gone."""

    tower: str
    """What stands in front of the layers: empty, `encoder`, `visiontower`."""
    layer: int | None
    expert: int | None
    rest: str
    """What stands behind the layer's number: `selfattnqproj`, empty for the layer itself; outside of the
    layers the whole name."""
    leaf: str
    """What of it: `weight`, `bias`, `output.0`, `weight.grad`."""
    what: str
    """`outputs`, `inputs`, `gradients`, `parameters`, `optimizer`."""
    is_guessed: bool
    """Whether `what` was taken from the name, since nobody recorded it."""
    shown: str
    """The name without wrappers, tower and layer, as people wrote it."""


NOT_SPELLED = Spelling("", None, None, "", "", "", False, "")
"""That of a name which nobody has taken apart yet."""


def squeeze(text: str) -> str:
    """Lower case without separators, but those between two numbers, and without zeros in front of numbers."""
    text = _BETWEEN_DIGITS.sub("\0", text.casefold())
    return _ZEROS.sub("", _SEPARATORS.sub("", text)).replace("\0", ".")


def layer_span(name: str) -> tuple[int, int] | None:
    """Where the layer's number stands; None where there is none."""
    found = _find_layer(name)
    return None if found is None else found.span(1)


class Speller:
    """Takes names apart; remembers each pattern, since a run has few of them and many names."""

    def __init__(self) -> None:
        self._slots: dict[tuple[object, ...], tuple[int | None, int | None]] = {}
        self._parts: dict[tuple[object, ...], tuple[str, str, str, str, bool, str]] = {}

    def spell(self, record: Record, name: str) -> Spelling:
        """`name` is the record's, without what all names of its run have in front."""
        pieces = _DIGITS.split(name)
        at = _leaf_start(record, name)
        pattern = (tuple(pieces[::2]), record.kind, None if at is None else at - len(name))
        slots = self._slots.get(pattern)
        if slots is None:
            slots = _find_slots(record, name, at) if len(pieces) > 1 else (None, None)
            self._slots[pattern] = slots
        layer, expert = slots
        numbers = pieces[1::2]
        others = tuple(number for index, number in enumerate(numbers) if index not in slots)
        parts = self._parts.get((pattern, others))
        if parts is None:
            parts = self._parts[pattern, others] = _take_apart(record, name, at)
        tower, rest, leaf, what, is_guessed, shown = parts
        return Spelling(
            tower,
            None if layer is None else int(numbers[layer]),
            None if expert is None else int(numbers[expert]),
            rest,
            leaf,
            what,
            is_guessed,
            shown,
        )


def _leaf_start(record: Record, name: str) -> int | None:
    """Where what follows the module's name begins; None where nobody recorded a module."""
    module = record.module
    if module is None or record.kind == "tensor" or not name.startswith(module):
        return None
    return len(module)


def _split_leaf(record: Record, name: str, at: int | None) -> tuple[str, str]:
    if at is not None:
        return name[:at], name[at:]
    end = max(0, len(name) - _LEAF_LENGTH)
    found = _LEAVES.search(name, end) or _IN_AND_OUT.search(name, end)
    return (name[: found.start()], found[0]) if found is not None else (name, "")


def _find_layer(stem: str) -> re.Match[str] | None:
    return _LAYER.search(stem) or _LEADING_LAYER.search(stem)


def _find_slots(record: Record, name: str, at: int | None) -> tuple[int | None, int | None]:
    """Which of the name's numbers are the layer's and the expert's."""
    stem, _ = _split_leaf(record, name, at)
    layer = _find_layer(stem)
    expert = _EXPERT.search(stem, layer.end() if layer is not None else 0)

    def slot(found: re.Match[str] | None) -> int | None:
        return None if found is None else len(_DIGITS.findall(name[: found.start(1)]))

    return slot(layer), slot(expert)


def _take_apart(record: Record, name: str, at: int | None) -> tuple[str, str, str, str, bool, str]:
    stem, leaf = _split_leaf(record, name, at)
    layer = _find_layer(stem)
    front, back = (stem[: layer.start()], stem[layer.end() :]) if layer is not None else ("", stem)
    expert = _EXPERT.search(back)
    if expert is not None:
        back = back[: expert.start(1)] + back[expert.end(1) :]
    back = _INSERTED.sub("", back.lstrip("./-")).lstrip("._/-")
    if front:
        front = _WRAPPED.sub("", _INSERTED.sub("", front), count=1)
    if layer is None:
        back = _WRAPPED.sub("", back, count=1) or back
    shown = (back + leaf).lstrip("._/-").replace("..", ".")
    leaf = _name_leaf(leaf)
    what, is_guessed = record.kind, False
    if what == "tensor":
        what, is_guessed = _guess_what(leaf), True
    if not leaf and what in _ACTIVATIONS:
        leaf = what.removesuffix("s") + ".0"
    return squeeze(front), squeeze(back), leaf, what, is_guessed, shown


def _name_leaf(leaf: str) -> str:
    words = [_SAME_LEAF.get(word, word) for word in _WORDS.findall(leaf.casefold())]
    # What a module gives as one tensor, another gives as the first of a tuple.
    for side in ("output", "input"):
        if words[:1] == [side] and words[1:2] in ([], ["grad"]):
            words.insert(1, "0")
    return ".".join(words)


def _guess_what(leaf: str) -> str:
    if "grad" in leaf:
        return "gradients"
    if any(word in leaf for word in _OPTIMIZER):
        return "optimizer"
    return next(
        (what for side, what in _WHAT.items() if leaf.startswith(side)), "parameters" if leaf else "outputs"
    )
