"""What helps against the reasons for which files of tensors are refused: few, whatever the reason."""

__all__ = ["CAST_FIRST", "COPY_AGAIN", "SAVE_PLAIN", "raise_limit"]

COPY_AGAIN = (
    "the file is cut short, damaged, or not what its name says: copy it again from where it was written, or "
    "save its tensors again with torch.save or safetensors"
)
"""For what no program writes: a header, a pickle or a size that contradicts the rest of the file."""

SAVE_PLAIN = (
    "compared are tensors, numpy arrays, numbers, and dicts and lists of these: save it as one of them"
)
"""For what somebody meant to write, and what holds no numbers that could be compared."""

CAST_FIRST = "convert the tensor before you save it, to float32 for example"
"""For numbers of a kind that has no answer in torch."""


def raise_limit(name: str) -> str:
    """For what is over the limit of that name, a field of `Limits`."""
    return (
        f"if you trust who made it, allow more: --{name.replace('_', '-')} on the command line, "
        f"Limits({name}=...) in Python"
    )
