"""Stands in for conda: a conda.sh whose `conda activate` does to PATH and CONDA_PREFIX what conda's own does."""

from __future__ import annotations

from pathlib import Path

_CONDA_SH = """\
conda() {
    case $1 in
        activate)
            [ -d "ROOT/envs/$2" ] || { echo "EnvironmentNameNotFound: Could not find environment: $2" >&2; return 1; }
            export CONDA_PREFIX="ROOT/envs/$2" PATH="ROOT/envs/$2/bin:$PATH"
            ;;
        env)
            echo "$*" >>"ROOT/called"
            while [ "$1" != --file ]; do shift; done
            cat "$2" >>"ROOT/called"
            ! grep -q no-such-package "$2" || { echo "ResolvePackageNotFound: Error: no-such-package." >&2; return 1; }
            ;;
    esac
}
"""


def make_conda(root: Path, **programs: str) -> str:
    """A conda at ``root`` with the environment ``work``, which has ``programs`` (name: the path of the real one; dashes
    are underscores in names). Returns the path of its conda.sh.
    """
    for name, real in programs.items():
        program = root / "envs" / "work" / "bin" / name.replace("_", "-")
        program.parent.mkdir(parents=True, exist_ok=True)
        program.write_text(f'#!/bin/sh\nexec "{real}" "$@"\n')
        program.chmod(0o755)
    script = root / "etc" / "profile.d" / "conda.sh"
    script.parent.mkdir(parents=True)
    script.write_text(_CONDA_SH.replace("ROOT", str(root)))
    return str(script)
