"""A session started again as it was, and what is kept of it."""

from __future__ import annotations

import pytest

from tests.api.conftest import Api

pytestmark = pytest.mark.anyio


async def test_an_ended_session_is_started_again(api: Api) -> None:
    """With its own inputs, also where the same service was started with others meanwhile, and under its name."""
    first = await api.reaches(await api.start("slow", name="first", set={"colour": "red"}), "ended")
    await api.reaches(await api.start("slow", name="other", set={"colour": "blue"}), "ended")
    status, session = await api.ask("POST", f"/v1/sessions/{first['id']}/again")
    assert (201, "first", "slow") == (status, session["name"], session["service"])
    assert first["id"] != session["id"]
    await api.reaches(session, "ended")
    files = (await api.ask("GET", f"/v1/sessions/{session['id']}/rendered"))[1]["files"]
    assert "red" in files["inputs.sh"]
    assert "blue" not in files["inputs.sh"]


async def test_a_name_in_use_is_not_taken_again(api: Api) -> None:
    """Then it gets another one."""
    first = await api.reaches(await api.start("slow", name="twice"), "ended")
    second = await api.start("web", name="twice")
    try:
        status, session = await api.ask("POST", f"/v1/sessions/{first['id']}/again")
        assert 201 == status
        assert "twice" != session["name"]
        assert (409, "conflict") == (await api.error("POST", f"/v1/sessions/{second['id']}/again"))[:2]
    finally:
        await api.stop(second)
    await api.reaches(session, "ended")


async def test_scripts_are_shown_without_secrets(api: Api) -> None:
    """What was sent is kept but for the file with the secrets."""
    session = await api.over()
    rendered = (await api.ask("GET", f"/v1/sessions/{session['id']}/rendered"))[1]
    assert rendered["folder"] == session["folder"]
    assert {"session.sh", "inputs.sh"} <= set(rendered["files"])
    assert "secrets.sh" not in rendered["files"]
