"""A disk that is really full: nothing is lost, and the store goes on once there is room."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

from .samples import child


def check(report: dict[str, Any]) -> None:
    """The one story that both ways of being full must tell."""
    stored = report["stored"]
    assert "cannot be written just now" in report["said"]
    assert stored > 0
    assert report["while_full"] == stored
    assert report["again"] == "state-full"
    assert report["after"] == list(range(1, stored + 2))
    assert report["reopened"] == report["after"]
    assert report["facts"] == []


def test_files_that_may_not_grow(tmp_path: Path) -> None:
    """A limit on the size of files (as a quota would be): refused, kept, and written after the limit is lifted."""
    process = child("run_full", "limit", str(tmp_path))
    said, _ = process.communicate(timeout=110)
    assert process.returncode == 0
    check(json.loads(said))


def namespace() -> list[str]:
    """A command that runs another with a mount table of its own, or nothing where the kernel allows none."""
    for command in (["unshare", "--mount"], ["unshare", "--map-root-user", "--mount"]):
        try:
            probe = subprocess.run([*command, "mount", "-t", "tmpfs", "none", "/mnt"], capture_output=True, check=False)
        except FileNotFoundError:
            return []
        if probe.returncode == 0:
            return command
    return []


def test_a_full_disk(tmp_path: Path) -> None:
    """A file system with no room left: as above. It goes with the process that mounted it."""
    command = namespace()
    if not command:
        pytest.skip("this machine allows no private mounts")
    mounted = [*command, "sh", "-c", 'mount -t tmpfs -o size=1m none "$0" && exec "$@"', str(tmp_path)]
    process = child("run_full", "disk", str(tmp_path), through=mounted)
    said, _ = process.communicate(timeout=110)
    assert process.returncode == 0
    check(json.loads(said))
    assert list(tmp_path.iterdir()) == []
