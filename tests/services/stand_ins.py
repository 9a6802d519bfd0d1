"""Stand-ins for licensed programs that cannot be had here. They do nothing but record how they are called.

What a call said on standard input is recorded too. DCV's sessions are files; the answers have the form that DCV's own
documentation shows.
"""

from __future__ import annotations

from pathlib import Path

RECORD = r"""#!/bin/bash
home=HOME_OF_STAND_INS
given=''
if [ -p /dev/stdin ] || [ -f /dev/stdin ]; then given=$(cat); fi
printf '%s %s <%s>\n' "${0##*/}" "$*" "$given" >> "$home/calls"
"""

DCV = r"""case $1 in
    list-sessions)
        [ -e "$home/up" ] || { echo 'Could not connect to the DCV server' >&2; exit 1; }
        for session in "$home"/sessions/*; do
            if [ -e "$session" ]; then echo "Session: '${session##*/}' (owner:$(id -un) type:virtual)"; fi
        done
        ;;
    create-session) [ ! -e "$home/full" ] && : > "$home/sessions/${!#}" ;;
    close-session) rm "$home/sessions/$2" ;;
    describe-session)
        [ -e "$home/sessions/$2" ] || exit 1
        printf '{\n    "id" : "%s",\n    "x11-display" : ":7",\n' "$2"
        printf '    "x11-authority" : "/run/user/1/dcv/%s.xauth"\n}\n' "$2"
        ;;
esac
"""

# sudo never becomes anybody here, and asks for a password unless there is a file that says no.
SUDO = r"""[ -e "$home/sudo" ] || { echo 'sudo: a password is required' >&2; exit 1; }
shift
exec "$@"
"""


def furnish(home: Path, **programs: str) -> Path:
    """Make stand-ins of these programs (name -> what it does after it has recorded its call); their folder for PATH."""
    (home / "sessions").mkdir(parents=True)
    (home / "bin").mkdir()
    (home / "up").touch()
    for name, does in programs.items():
        file = home / "bin" / name
        file.write_text(RECORD.replace("HOME_OF_STAND_INS", str(home)) + does)
        file.chmod(0o700)
    return home / "bin"


def calls(home: Path, program: str) -> list[str]:
    """How a program was called, without its name."""
    record = home / "calls"
    lines = record.read_text().splitlines() if record.exists() else []
    return [line.removeprefix(f"{program} ") for line in lines if line.startswith(f"{program} ")]
