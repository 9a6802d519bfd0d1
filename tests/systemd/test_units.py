"""The unit files as systemd itself reads them."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.mark.skipif(
    shutil.which("systemd-analyze") is None, reason="no systemd-analyze here (Debian's package systemd)"
)
def test_systemd_has_nothing_to_say_about_the_units(tmp_path: Path) -> None:
    """No unknown setting, no missing program, no warning."""
    program = tmp_path / ".local/bin/sessiond"
    program.parent.mkdir(parents=True)
    program.symlink_to("/bin/true")
    (tmp_path / "run").mkdir(mode=0o700)
    done = subprocess.run(
        [
            "systemd-analyze",
            "--user",
            "verify",
            *(str(ROOT / "systemd" / f"sessiond.{kind}") for kind in ("service", "socket")),
        ],
        env=dict(os.environ) | {"HOME": str(tmp_path), "XDG_RUNTIME_DIR": str(tmp_path / "run")},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    ours = [line for line in done.stderr.splitlines() if "sessiond" in line]
    assert ([], 0) == (ours, done.returncode)
