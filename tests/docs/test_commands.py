"""What the documentation tells people to type does what it says."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest

from sessiond.config.load import load
from tests.docs.house import place
from tests.docs.pages import ROOT, Written, blocks, examples, missing, pages, steps, title

WITH_COMMANDS = [page for page in pages() if examples(page)]


@pytest.mark.parametrize("page", WITH_COMMANDS, ids=title)
def test_the_commands_of_a_page_work_in_their_order_and_print_what_it_shows(page: Path) -> None:
    """A reader writes each file and types each command of a page, from the first to the last, against a real daemon."""
    with place() as here:
        for step in steps(page):
            if isinstance(step, Written):
                here.write(step.path, step.text)
                continue
            done = here.run(step.command)
            assert (0, []) == (done.returncode, list(missing(step.output, done.stdout))), (
                f"$ {step.command}\n{done.stdout}{done.stderr}"
            )


def test_there_is_something_to_type() -> None:
    """The pages whose commands must be tried have some: a fence of another kind would hide them from the test."""
    wanted = {f"docs/{name}.md" for name in ("adding-a-service", "api", "troubleshooting", "workflows")} | {"README.md"}
    assert wanted == wanted & {title(page) for page in WITH_COMMANDS}


@pytest.mark.parametrize("page", [page for page in pages() if blocks(page, "toml")], ids=title)
def test_configuration_shown_can_be_used(page: Path, tmp_path: Path) -> None:
    """Every piece of TOML that is about the daemon's configuration is accepted by it."""
    for text in blocks(page, "toml"):
        if {"daemon", "notify", "idle", "clusters"} & set(tomllib.loads(text)):
            file = tmp_path / "config.toml"
            file.write_text(text)
            load(file)


def test_every_make_target_named_exists() -> None:
    """`make X` in a page or in the rules for contributors is a target of the Makefile."""
    import re

    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    named = {name for page in pages() for name in re.findall(r"(?:`|^)make ([a-z]+)", page.read_text(), re.MULTILINE)}
    assert set() == named - targets
    assert {"demo", "test"} <= named
