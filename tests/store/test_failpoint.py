"""Failpoints: off unless asked for, exact when they are."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from sessiond import failpoint

PROGRAM = """
from sessiond import failpoint
for name in ("a", "b", "a", "a"):
    print(name, flush=True)
    failpoint.hit(name)
"""


def run(**env: str) -> subprocess.CompletedProcess[str]:
    """Pass a, b, a, a in a process of its own."""
    above = str(Path(failpoint.__file__).parents[1])
    return subprocess.run(
        [sys.executable, "-c", PROGRAM],
        env={**os.environ, "PYTHONPATH": above, **env},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


@pytest.mark.parametrize(
    ("wanted", "status", "said"),
    [
        ("", 0, "abaa"),
        ("a:1", -signal.SIGKILL, "a"),
        ("a:2", -signal.SIGKILL, "aba"),
        ("b:1", -signal.SIGKILL, "ab"),
        ("b:2", 0, "abaa"),
        ("c:1", 0, "abaa"),
    ],
)
def test_the_nth_pass_kills(wanted: str, status: int, said: str) -> None:
    """The pass that is named, of the point that is named, and no other."""
    done = run(SESSIOND_FAILPOINT=wanted)
    assert (done.returncode, "".join(done.stdout.split())) == (status, said)


def test_every_pass_is_traced(tmp_path: Path) -> None:
    """The trace has a line for each pass, also for the fatal one."""
    trace = tmp_path / "trace"
    run(SESSIOND_FAILPOINT_TRACE=str(trace))
    run(SESSIOND_FAILPOINT_TRACE=str(trace), SESSIOND_FAILPOINT="b:1")
    assert trace.read_text().split() == ["a", "b", "a", "a", "a", "b"]


@pytest.mark.parametrize("wanted", ["a", "a:", "a:0", "a:x", ":1", "a:-1"])
def test_a_wrong_request_is_refused(wanted: str) -> None:
    """A test that asks for nonsense must not pass by nothing happening."""
    done = run(SESSIOND_FAILPOINT=wanted)
    assert done.returncode == 1
    assert "SESSIOND_FAILPOINT must be NAME:N" in done.stderr
