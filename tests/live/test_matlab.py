"""MATLAB in the browser as a person has it, with a stand-in for MATLAB itself."""

from __future__ import annotations

import pytest

from tests.daemon.workspace import Workspace, fetch

from .bed.environments import ensure_environment

pytestmark = [pytest.mark.live, pytest.mark.timeout(300)]


def test_its_page_comes_through_the_gateway(house: Workspace) -> None:
    """At the URL that is printed; and nothing of it is left."""
    ensure_environment("matlab")
    program = house.root / "MATLAB" / "bin" / "matlab"
    program.parent.mkdir(parents=True)
    program.write_text("#!/bin/sh\nexec sleep 600\n")
    program.chmod(0o755)
    about = "<MathWorks_version_info><version>24.1</version><release>R2024a</release></MathWorks_version_info>"
    (house.root / "MATLAB" / "VersionInfo.xml").write_text(about)
    house.daemon()
    given = {
        "service_matlab_root": str(house.root / "MATLAB"),
        "service_load_env": "export MLM_LICENSE_FILE=1@licences",
    }
    session = house.start("matlab", set=given)
    assert session["url"] is not None
    status, page = fetch(session["url"])
    assert (200, True) == (status, "<title>MATLAB</title>" in page)
    house.stop(session["name"])
    assert [] == house.traces(session)
