"""The man pages are what the programs say of themselves now, and are rendered without a complaint."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from sessiond.cli.main import VERBS
from tests.docs.manpages import pages
from tests.docs.pages import ROOT

MAN = ROOT / "man"


def test_they_are_up_to_date() -> None:
    """`make docs` would write nothing else."""
    assert pages() == {path.name: path.read_text() for path in MAN.iterdir()}


@pytest.mark.skipif(shutil.which("groff") is None, reason="no groff here (Debian's package groff-base)")
@pytest.mark.parametrize("name", pages())
def test_they_are_rendered_without_a_complaint(name: str) -> None:
    """groff has no warning of any kind, at the width of a terminal."""
    done = subprocess.run(
        ["groff", "-man", "-Tutf8", "-ww", "-rLL=78n", str(MAN / name)],
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    assert "" == done.stderr
    shown = re.sub(r"\x1b\[[0-9;]*m|.\x08", "", done.stdout)
    if name == "sessionctl.1":
        assert [] == [verb for verb in VERBS if f"   sessionctl {verb}\n" not in shown]
        assert "   sessionctl workflow check\n" in shown
    assert "--help" in shown


def test_nothing_in_them_steers_troff() -> None:
    """Help texts may begin with a dot or hold a backslash; each line of a page is text, or a request that we write."""
    known = {".TH", ".nh", ".ad", ".SH", ".SS", ".PP", ".TP", ".BR", '.\\"'}
    lines = [line for text in pages().values() for line in text.splitlines()]
    assert set() == {line.split()[0] for line in lines if line.startswith((".", "'"))} - known
    escapes = {found for line in lines[1:] for found in re.findall(r"\\(?:\[u\w+\]|\(\w\w|f.|.)", line)}
    assert escapes <= {r"\fB", r"\fR", r"\-", r"\(aq", r"\(ga", r"\(ha", r"\(ti", r"\e", r"\&", r"\:", r"\""} | {
        found for found in escapes if found.startswith(r"\[u")
    }


def test_variables_that_are_named_exist() -> None:
    """As in every page."""
    sources = "\n".join(path.read_text() for path in (ROOT / "sessiond").rglob("*.py"))
    sources += "\n".join(path.read_text() for path in (ROOT / "services").rglob("*.sh"))
    named = {name for path in MAN.iterdir() for name in re.findall(r"SESSIOND_[A-Z_]+", path.read_text())}
    assert set() == {name for name in named if name not in sources}
    assert "SESSIOND_CONFIG" in named


def test_they_are_pages_of_section_one() -> None:
    """Both programs have theirs."""
    assert {Path("sessiond.1"), Path("sessionctl.1")} == {path.relative_to(MAN) for path in MAN.iterdir()}
