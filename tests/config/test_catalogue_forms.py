"""Folders of services: the forms in them."""

from __future__ import annotations

from pathlib import Path

import pytest

from sessiond.config.catalogue import Catalogue
from sessiond.core.errors import NotFound


def _form(folder: Path, name: str, service: str = "") -> None:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / name).write_text(
        f'<tool><inputs><param name="service_name" type="hidden" value="{service}"/></inputs></tool>'
    )


def test_forms_are_found_where_they_lie(tmp_path: Path) -> None:
    """In workflows/, and beside the scripts where they look like forms; they do not travel with the service."""
    service = tmp_path / "web"
    _form(service / "workflows", "general.xml")
    _form(service, "cloud.xml")
    _form(service, "general.xml", "elsewhere")
    (service / "start-template.sh").write_text("true\n")
    (service / "settings.xml").write_text("<settings/>")
    (service / "workflows" / "bad name.xml").write_text("<tool/>")
    (service / "workflows" / "pipe.xml").symlink_to("/dev/zero")
    catalogue = Catalogue.read([tmp_path])
    assert ["web/cloud", "web/general", "web/pipe"] == list(catalogue.workflows)
    assert "" == catalogue.workflows["web/general"].read().service
    assert ("web/pipe.xml:1: it is not an ordinary file",) == catalogue.workflows["web/pipe"].read().problems
    assert [True, True, False, False] == [
        catalogue.is_workflow(name) for name in ("web/general", "general", "web", "other")
    ]
    (problem,) = catalogue.problems
    assert problem.startswith("web/workflows/bad name.xml: a workflow's name is made of letters")
    travels = {file.path for file in catalogue.spec("web").files}
    assert {"start-template.sh", "settings.xml", "cloud.xml", "general.xml"} == travels


def test_forms_of_ones_own_for_a_service_that_is_there(tmp_path: Path) -> None:
    """A folder of forms only adds to the service of its name; one with a service takes its place."""
    _form(tmp_path / "one" / "web" / "workflows", "general.xml", "first")
    _form(tmp_path / "one" / "web" / "workflows", "cloud.xml")
    (tmp_path / "one" / "web" / "start-template.sh").write_text("true\n")
    _form(tmp_path / "two" / "web" / "workflows", "mine.xml")
    _form(tmp_path / "two" / "web" / "workflows", "general.xml", "second")
    both = Catalogue.read([tmp_path / "one", tmp_path / "two"])
    assert ["web/cloud", "web/general", "web/mine"] == list(both.workflows)
    assert ("second", ()) == (both.workflow("general").read().service, both.entry("web").problems)
    (tmp_path / "two" / "web" / "start-template.sh").write_text("true\n")
    assert ["web/general", "web/mine"] == list(Catalogue.read([tmp_path / "one", tmp_path / "two"]).workflows)
    with pytest.raises(NotFound):
        both.workflow("nothing")
