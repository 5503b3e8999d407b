"""What can become of a case."""

__all__ = ["BAD", "WORDS"]

WORDS = ("silent", "crash", "hang", "error", "refused", "equal")
"""Worst first. `silent`: a wrong answer and no word; `crash`: the process died; `hang`: no answer in time;
`error`: an exception that is neither torch's nor a refusal; `refused`: said so, by name."""
BAD = WORDS[:4]
"""Those that must not be."""
