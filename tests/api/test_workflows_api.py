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
    for service, names in {"web": ("sheet", "wrong"), "slow": ("sheet",)}.items():
        (services / service / "workflows").mkdir()
        for name in names:
            text = (
                (FOLDER / f"{name.replace('sheet', 'notebook')}.xml")
                .read_text()
                .replace('value="notebook"', f'value="{service}"')
            )
            (services / service / "workflows" / f"{name}.xml").write_text(text)
    return house


async def test_all_of_them(furnished: House, api: Api) -> None:
    """Each with its service; what is wrong with one is in it, and the others are there."""
    status, found = await api.ask("GET", "/v1/workflows")
    assert 200 == status
    assert [("slow/sheet", "slow", 0), ("web/sheet", "web", 0), ("web/wrong", "web", 16)] == [
        (one["name"], one["service"], len(one["problems"])) for one in found if one["service"] in ("slow", "web")
    ]
    assert all({"name", "variable", "type", "when", "default"} <= set(one["params"][0]) for one in found)


async def test_one(furnished: House, api: Api) -> None:
    """By its whole name, plain or escaped, and by its own part where only one has it."""
    for path in ("web/sheet", "web%2Fsheet"):
        status, found = await api.ask("GET", f"/v1/workflows/{path}")
        assert (200, "web/sheet", "Notebook") == (status, found["name"], found["title"])
    assert "web/wrong" == (await api.ask("GET", "/v1/workflows/wrong"))[1]["name"]
    status, refused = await api.ask("GET", "/v1/workflows/sheet")
    assert (409, "2 workflows are called sheet") == (status, refused["error"]["message"])
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


PNG = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR\0\0\0\x78\0\0\0\x78\x08\x06\0\0\0"


async def test_pictures_and_descriptions(furnished: House, api: Api) -> None:
    """A form's own picture, else its service's; what is none is told, and shown by nobody."""
    services = furnished.root / "config" / "sessiond" / "services"
    forms = services / "web" / "workflows"
    (services / "web" / "thumbnail.png").write_bytes(PNG + b"of the service")
    (services / "slow" / "thumbnail.png").write_bytes(b"<svg/>" * 9)
    (forms / "wrong.png").write_bytes(PNG + b"of the form")
    (forms / "sheet.md").write_text("A notebook.\n\nFor those who compute.\n")

    async def picture(path: str) -> tuple[int, str, bytes]:
        async with api.http.get(f"http://sessiond{path}") as answer:
            return answer.status, answer.content_type, await answer.read()

    _, found = await api.ask("GET", "/v1/workflows/web/sheet")
    assert ("A notebook.\n\nFor those who compute.", "/v1/workflows/web/sheet/thumbnail") == (
        found["description"],
        found["thumbnail"],
    )
    assert (200, "image/png", PNG + b"of the service") == await picture(found["thumbnail"])
    for path in ("web/wrong", "web%2Fwrong", "wrong"):
        assert (200, "image/png", PNG + b"of the form") == await picture(f"/v1/workflows/{path}/thumbnail")
    services_found = {one["name"]: one for one in (await api.ask("GET", "/v1/services"))[1]}
    assert ("/v1/services/web/thumbnail", "") == (
        services_found["web"]["thumbnail"],
        services_found["slow"]["thumbnail"],
    )
    assert (["web/sheet", "web/wrong"], {}) == (services_found["web"]["workflows"], services_found["web"]["last"])
    assert (200, "image/png", PNG + b"of the service") == await picture("/v1/services/web/thumbnail")
    assert (404, "the picture of slow cannot be used: it is no PNG") == (
        (answer := await api.error("GET", "/v1/services/slow/thumbnail"))[0],
        answer[2],
    )
    assert "" == (await api.ask("GET", "/v1/workflows/slow/sheet"))[1]["thumbnail"]
    for path in ("workflows/slow/sheet", "workflows/nothing", "services/nothing"):
        assert 404 == (await picture(f"/v1/{path}/thumbnail"))[0]


async def test_a_form_that_is_called_as_the_picture(furnished: House, api: Api) -> None:
    """`web/thumbnail` is the form of that name where there is one."""
    forms = furnished.root / "config" / "sessiond" / "services" / "web" / "workflows"
    (forms / "thumbnail.xml").write_text('<tool><inputs><param name="a" type="text"/></inputs></tool>')
    assert "web/thumbnail" == (await api.ask("GET", "/v1/workflows/web/thumbnail"))[1]["name"]
    (forms / "thumbnail.xml").unlink()
