"""`outgrow completion`: the script that makes a shell complete commands, options and what they take."""

__all__ = ["completion"]

import sys

import click

from outgrow.cli import render

_SHELLS = ("bash", "zsh", "fish")


@click.command()
@click.argument("shell", type=click.Choice(_SHELLS), metavar="SHELL")
@render.quiet_option
def completion(shell: str) -> None:
    """Print what makes bash, zsh or fish complete commands, options, choices and paths of outgrow.

    SHELL is bash (4.4 or newer), zsh or fish. For the shell that is open:

    \b
      bash  eval "$(outgrow completion bash)"
      zsh   eval "$(outgrow completion zsh)"
      fish  outgrow completion fish | source

    For every shell to come, put the line at the end of ~/.bashrc, of ~/.zshrc (below compinit) or of
    ~/.config/fish/config.fish.
    """
    from click.shell_completion import get_completion_class

    from outgrow.cli.main import COMPLETION_VARIABLE, program

    kind = get_completion_class(shell)
    if kind is None:
        raise TypeError(f"click cannot complete for {shell}")
    script = kind(program, {}, "outgrow", COMPLETION_VARIABLE)
    # Not `script.source()`, which asks the bash that is first in PATH for its version: the one that reads
    # this may be another.
    text = script.source_template % script.source_vars()
    # click's own script for fish ends values and their explanations at a comma.
    sys.stdout.write(text.replace('string split ","', 'string split --max 1 ","'))
