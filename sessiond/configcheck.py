"""What is wrong with config.toml, without a daemon: the file is read as one would read it."""

from __future__ import annotations

from pathlib import Path

from sessiond.config.load import load
from sessiond.core.errors import ConfigError


def problems(path: Path) -> tuple[str, ...]:
    """Every problem of the file, a line each; none where it is fine, or not there."""
    try:
        load(path)
    except ConfigError as error:
        return tuple(error.problems)
    return ()
