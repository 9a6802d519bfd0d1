"""The samples of forms beside this file."""

from __future__ import annotations

from pathlib import Path

from sessiond.forms.model import Form
from sessiond.forms.xml import read_form

FOLDER = Path(__file__).parent / "samples"


def sample(name: str) -> Form:
    """The form in ``samples/NAME.xml``."""
    return read_form(f"{name}.xml", (FOLDER / f"{name}.xml").read_bytes())


def form(inputs: str) -> Form:
    """A form with these inputs, one line before them, without problems."""
    found = read_form("form.xml", f"<tool><inputs>\n{inputs}</inputs></tool>".encode())
    assert () == found.problems
    return found
