"""How the shells are told what completes a word: click's way, but for words with an equals sign in them.

Bash divides the line at each ``=`` (COMP_WORDBREAKS), and takes answers for what stands behind the last one. It and zsh
put a blank behind a word that is whole, which ``KEY=`` is not; fish leaves that one out by itself.
"""

from __future__ import annotations

import os
from typing import Any, ClassVar

from click.shell_completion import (
    BashComplete,
    CompletionItem,
    FishComplete,
    ShellComplete,
    ZshComplete,
    add_completion_class,
    split_arg_string,
)

_BREAKS = "=:"
"""Where bash divides words, of what can be in ours."""


class _Line(ShellComplete):
    """Leaves the line as it was typed where those who complete a word find it."""

    def get_completions(self, args: list[str], incomplete: str) -> list[CompletionItem[Any]]:
        self.ctx_args = {**self.ctx_args, "obj": tuple(args)}
        return super().get_completions(args, incomplete)


class Bash(_Line, BashComplete):
    """Takes the line as it was typed, and answers with what is to stand behind its last equals sign."""

    source_template: ClassVar[str] = """\
%(complete_func)s() {
    local IFS=$'\\n' type value line
    for line in $(env COMP_WORDS="${COMP_LINE:0:COMP_POINT}" %(complete_var)s=bash_complete "$1"); do
        IFS=',' read -r type value <<< "$line"
        if [[ $type == dir ]]; then
            COMPREPLY=()
            compopt -o dirnames
        elif [[ $type == file ]]; then
            COMPREPLY=()
            compopt -o default
        elif [[ $type == plain ]]; then
            COMPREPLY+=("$value")
            [[ $value == *= ]] && compopt -o nospace
        fi
    done
    return 0
}

complete -o nosort -F %(complete_func)s %(prog_name)s
"""

    def get_completion_args(self) -> tuple[list[str], str]:
        typed = os.environ["COMP_WORDS"]
        words = split_arg_string(typed)
        last = "" if not words or typed.endswith(" ") else words.pop()
        return words[1:], last

    def format_completion(self, item: CompletionItem[Any]) -> str:
        _, last = self.get_completion_args()
        shown = 1 + max(last.rfind(char) for char in _BREAKS)
        return f"{item.type},{item.value[shown:]}"


class Zsh(_Line, ZshComplete):
    """As click has it, but that what ends in an equals sign is not followed by a blank."""

    source_template: ClassVar[str] = """\
#compdef %(prog_name)s

%(complete_func)s() {
    local -a whole whole_told begun begun_told response
    local type key descr
    (( ! $+commands[%(prog_name)s] )) && return 1

    local -x COMP_WORDS="${words[*]}" COMP_CWORD=$((CURRENT-1)) %(complete_var)s=zsh_complete
    response=("${(@f)$(%(prog_name)s)}")

    for type key descr in ${response}; do
        if [[ $type == plain ]]; then
            if [[ $key == *= ]]; then
                if [[ $descr == _ ]]; then begun+=("$key"); else begun_told+=("$key:$descr"); fi
            elif [[ $descr == _ ]]; then
                whole+=("$key")
            else
                whole_told+=("$key:$descr")
            fi
        elif [[ $type == dir ]]; then
            _path_files -/
        elif [[ $type == file ]]; then
            _path_files -f
        fi
    done

    (( $#begun_told )) && _describe -V unsorted begun_told -U -S ''
    (( $#whole_told )) && _describe -V unsorted whole_told -U
    (( $#begun )) && compadd -U -S '' -V unsorted -a begun
    (( $#whole )) && compadd -U -V unsorted -a whole
    return 0
}

if [[ $zsh_eval_context[-1] == loadautofunc ]]; then
    # autoload from fpath, call function directly
    %(complete_func)s "$@"
else
    # eval/source/. command, register function for later
    compdef %(complete_func)s %(prog_name)s
fi
"""


class Fish(_Line, FishComplete):
    """As click has it."""


SHELLS: dict[str, type[ShellComplete]] = {"bash": Bash, "zsh": Zsh, "fish": Fish}

for _name, _shell in SHELLS.items():
    add_completion_class(_shell, _name)
