"""``sessionctl completion``."""

from __future__ import annotations

from typing import Final

import click

from sessiond.cli.output import say

_HOW: Final = {
    "bash": 'eval "$(sessionctl completion bash)" in ~/.bashrc',
    "zsh": 'eval "$(sessionctl completion zsh)" in ~/.zshrc, after compinit',
    "fish": "sessionctl completion fish > ~/.config/fish/completions/sessionctl.fish",
}


@click.command(epilog=" · ".join(_HOW.values()))
@click.argument("shell", metavar="bash|zsh|fish", type=click.Choice(tuple(_HOW)))
def command(shell: str) -> int:
    """Print the completion script for a shell; it completes verbs, options, names of all kinds, and values."""
    from sessiond.cli.main import root
    from sessiond.cli.shells import SHELLS

    say(SHELLS[shell](root, {}, "sessionctl", "_SESSIONCTL_COMPLETE").source())
    return 0
