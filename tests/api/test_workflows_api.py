"""The forms that the API shows, and the check of a file, by a real daemon."""

from __future__ import annotations

import base64
from typing import Any

import pytest

from tests.api.conftest import Api, House
from tests.forms.samples import FOLDER

pytestmark = pytest.mark.anyio


@pytest.fixture(scope="module")
def furnished(house: House) -> House:
    """A daemon whose services have forms: good ones, a bad one, one of a name that two have."""
    services = house.root / "config" / "sessiond" / "services"
    for service, names in {"web": ("notebook", "wrong"), "slow": ("notebook",)}.items():
        (services / service / "workflows").mkdir()
        for name in names:
            text = (FOLDER / f"{name}.xml").read_text().replace('value="notebook"', f'value="{service}"')
            (services / service / "workflows" / f"{name}.xml").write_text(text)
    return house


async def test_all_of_them(furnished: House, api: Api) -> None:
    """Each with its service; what is wrong with one is in it, and the others are there."""
    status, found = await api.ask("GET", "/v1/workflows")
    assert 200 == status
    assert [("slow/notebook", "slow", 0), ("web/notebook", "web", 0), ("web/wrong", "web", 16)] == [
        (one["name"], one["service"], len(one["problems"])) for one in found
    ]
    assert {"name", "variable", "type", "when", "default"} <= set(found[0]["params"][0])


async def test_one(furnished: House, api: Api) -> None:
    """By its whole name, plain or escaped, and by its own part where only one has it."""
    for path in ("web/notebook", "web%2Fnotebook"):
        status, found = await api.ask("GET", f"/v1/workflows/{path}")
        assert (200, "web/notebook", "Notebook") == (status, found["name"], found["title"])
    assert "web/wrong" == (await api.ask("GET", "/v1/workflows/wrong"))[1]["name"]
    status, refused = await api.ask("GET", "/v1/workflows/notebook")
    assert (409, "2 workflows are called notebook") == (status, refused["error"]["message"])
    status, refused = await api.ask("GET", "/v1/workflows/wrog")
    assert (404, "Did you mean wrong?") == (status, refused["error"]["hint"])


async def test_a_file(furnished: House, api: Api) -> None:
    """Checked without being put anywhere."""

    async def check(text: bytes) -> tuple[int, Any]:
        body = {"file": "my.xml", "content": base64.b64encode(text).decode()}
        return await api.ask("POST", "/v1/workflows/check", body)

    status, found = await check((FOLDER / "odd.xml").read_bytes())
    assert (200, "", "desk") == (status, found["name"], found["service"])
    assert ["my.xml:1: there is no service desk, which it is for"] == found["problems"]
    _, found = await check(b'<tool><inputs><param name="PATH" type="text"/></inputs></tool>')
    assert ["my.xml:1: PATH: PATH is reserved; choose another name"] == found["problems"]
    assert ["my.xml:1: it names no service; it can be used in a service's folder"] == found["warnings"]
    status, code, _ = await api.error("POST", "/v1/workflows/check", {"file": "x", "content": "?"})
    assert (400, "bad-request") == (status, code)
