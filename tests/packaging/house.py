"""The wheel of this tree, and an environment that has nothing but it."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]


MINORS = (11, 12, 13)
"""The versions 3.x of Python that sessiond is for."""


def pythons() -> list[str]:
    """A Python of each version that sessiond is for and that can be had here."""
    found = {sys.version_info[:2]: sys.executable}
    for minor in MINORS:
        # pyenv's own word on the PATH answers only for the version that somebody has chosen
        for program in filter(None, (shutil.which(f"python3.{minor}"), *_of_pyenv(minor))):
            if (3, minor) not in found and _makes_environments(program, minor):
                found[3, minor] = program
    return [found[version] for version in sorted(found)]


def _of_pyenv(minor: int) -> list[str]:
    """The Pythons of one version that pyenv has built."""
    root = Path(os.environ.get("PYENV_ROOT") or Path.home() / ".pyenv")
    return [str(program) for program in sorted(root.glob(f"versions/3.{minor}.*/bin/python3.{minor}"))]


def _makes_environments(program: str, minor: int) -> bool:
    asked = [program, "-c", "import sys, venv; print(sys.version_info.minor)"]
    done = subprocess.run(asked, check=False, capture_output=True, text=True, timeout=60)
    return (done.returncode, done.stdout) == (0, f"{minor}\n")


def run(
    *argv: str | Path, cwd: Path | str = "/", env: Mapping[str, str] | None = None, check: bool = True
) -> subprocess.CompletedProcess[str]:
    """Run a program, elsewhere than in this tree."""
    done = subprocess.run(
        argv,
        cwd=cwd,
        env=env,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert not check or done.returncode == 0, f"{argv}: {done.stdout}{done.stderr}"
    return done


@contextmanager
def folder() -> Iterator[Path]:
    """A folder that everybody may look into."""
    made = Path(tempfile.mkdtemp(prefix="sd-pack-"))
    made.chmod(0o755)
    try:
        yield made
    finally:
        shutil.rmtree(made)


def wheel(into: Path) -> Path:
    """Build the wheel."""
    run(sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--wheel-dir", into, ROOT, env=_plain())
    (built,) = into.glob("*.whl")
    return built


def environment(python: str, built: Path, into: Path) -> Path:
    """Install the wheel, and what it needs, into an empty environment; returns the environment's folder."""
    run(python, "-m", "venv", "--without-pip", into, env=_plain())
    pip = (sys.executable, "-m", "pip", "--python", into / "bin/python", "--quiet", "--disable-pip-version-check")
    run(*pip, "install", built, env=_plain())
    return into


@dataclass(frozen=True, slots=True, kw_only=True)
class Pipx:
    """A place of pipx's own, instead of ~/.local, in a folder."""

    root: Path

    @property
    def programs(self) -> Path:
        """Where it puts links to the programs."""
        return self.root / "bin"

    @property
    def man(self) -> Path:
        """Where it puts links to the man pages."""
        return self.root / "man"

    @property
    def environment(self) -> Path:
        """Where sessiond is."""
        return self.root / "home/venvs/sessiond"

    def run(self, *argv: str | Path) -> None:
        """Have pipx do something."""
        env = {name: value for name, value in _plain().items() if not name.startswith("PIPX_")}
        env |= {"PIPX_HOME": str(self.root / "home")}
        env |= {"PIPX_BIN_DIR": str(self.programs), "PIPX_MAN_DIR": str(self.man)}
        run(sys.executable, "-m", "pipx", *argv, env=env)


def pipx(python: str, built: Path, into: Path) -> Pipx:
    """Install the wheel, and what it needs, with pipx."""
    made = Pipx(root=into)
    made.run("install", "--python", python, built)
    return made


def _plain() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "VIRTUAL_ENV")}
