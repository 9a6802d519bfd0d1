"""Sessions through the real socket of a real daemon: names, refusals, words, and secrets that stay secret."""

from __future__ import annotations

import json
import os
import re
from typing import Any

import anyio
import pytest

from tests.api.conftest import Api, House

pytestmark = pytest.mark.anyio


async def test_a_session_from_start_to_forgetting(api: Api, house: House) -> None:
    """201 at once; up; stopped; forgotten; and its folders are gone."""
    first = await api.start("web", name="one")
    assert ("one", "web", "render") == (first["name"], first["service"], first["state"])
    up = await api.reaches(first, "running")
    assert (1, None, first["url"]) == (up["attempt"], up["problem"], up["url"])
    assert (409, "conflict") == (await api.error("DELETE", "/v1/sessions/one"))[:2]
    ended = await api.stop(first)
    assert ("cancelled", None) == (ended["outcome"], ended["url"])
    assert [] == [s for s in (await api.ask("GET", "/v1/sessions"))[1] if s["id"] == first["id"]]
    assert [ended] == [s for s in (await api.ask("GET", "/v1/sessions?all=1"))[1] if s["id"] == first["id"]]
    with anyio.fail_after(20):
        while (house.root / "sessiond" / first["id"] / "secrets.sh").exists():  # noqa: ASYNC110
            await anyio.sleep(0.05)  # the end is told before the cleaning up is over, and no event tells that
        await anyio.sleep(0.5)
    assert (204, None) == await api.ask("DELETE", "/v1/sessions/one")
    assert (404, "not-found") == (await api.error("GET", "/v1/sessions/one"))[:2]
    left = [p for p in house.root.rglob("*") if first["id"] in str(p)]
    assert [] == left


async def test_forgetting_right_after_the_end_leaves_nothing(api: Api, house: House) -> None:
    """What was being cleaned up is forgotten whole."""
    session = await api.start("web")
    await api.reaches(session, "running")
    await api.stop(session)
    assert (204, None) == await api.ask("DELETE", f"/v1/sessions/{session['id']}")
    assert [] == [p for p in house.root.rglob("*") if session["id"] in str(p)]


async def test_names_are_resolved(api: Api) -> None:
    """By name, by id, by a unique beginning of either; an ambiguous one is refused with the candidates."""
    one, two = await api.start("web", name="alpha-one"), await api.start("web", name="alpha-two")
    try:
        for name in ("alpha-one", "alpha-o", one["id"]):
            assert one["id"] == (await api.ask("GET", f"/v1/sessions/{name}"))[1]["id"]
        status, code, message = await api.error("GET", "/v1/sessions/alpha")
        assert (409, "conflict") == (status, code)
        assert "alpha-one, alpha-two" in message
        assert (409, "conflict") == (await api.error("POST", "/v1/sessions", {"service": "web", "name": "alpha-one"}))[
            :2
        ]
    finally:
        await api.stop(one)
        await api.stop(two)
    assert two["id"] == (await api.ask("GET", "/v1/sessions/alpha-t"))[1]["id"]


@pytest.mark.parametrize(
    ("method", "path", "body", "status", "words"),
    [
        ("GET", "/v1/sessions/nobody", None, 404, "there is no session called nobody"),
        ("GET", "/v1/sessions/%20-%25", None, 404, "there is no session called"),
        ("GET", "/nowhere", None, 404, "GET /nowhere"),
        ("PUT", "/v1/sessions", None, 405, "PUT /v1/sessions"),
        ("POST", "/v1/sessions", {}, 400, "service"),
        ("POST", "/v1/sessions", {"service": "web", "colour": "red"}, 400, "colour"),
        ("POST", "/v1/plan", {"service": "web", "colour": "red"}, 400, "colour"),
        ("POST", "/v1/sessions", {"service": 7}, 400, "service"),
        ("POST", "/v1/sessions", [], 400, "the request's body is not right"),
        ("POST", "/v1/sessions", {"service": "nothing"}, 404, "nothing"),
        ("POST", "/v1/sessions", {"service": "../web"}, 404, "../web"),
        ("POST", "/v1/sessions", {"service": "web", "name": "No Name"}, 400, "No Name"),
        ("POST", "/v1/sessions", {"service": "web", "time": "soon"}, 400, "soon"),
        ("POST", "/v1/sessions", {"service": "web", "set": {"a;b": "x"}}, 400, "a;b"),
        ("POST", "/v1/sessions", {"service": "web", "set": {"a": "x\0y"}}, 400, ""),
        ("POST", "/v1/sessions", {"service": "web", "cluster": "mars"}, 404, "mars"),
        ("GET", "/v1/events?since=-1", None, 400, "since"),
        ("GET", "/v1/events?since=%d9%a1", None, 400, "since"),
    ],
)
async def test_refusals_are_one_sentence(api: Api, method: str, path: str, body: Any, status: int, words: str) -> None:
    """With a code and a status that fit, never a traceback."""
    found, _code, message = await api.error(method, path, body)
    assert (status, True) == (found, words in message)
    assert "\n" not in message


@pytest.mark.parametrize(
    "body",
    [b"{", b"\xff", b'{"service": "web"', b"[" * 10_000, b'{"service": "caf\xe9"}', b'{"service": "\xed\xa0\x80"}'],
)
async def test_a_body_that_is_not_json_is_refused(api: Api, house: House, body: bytes) -> None:
    """400, whatever it is, and it is no fault of the daemon's."""
    async with api.http.post("http://sessiond/v1/sessions", data=body) as response:
        assert (400, "bad-request") == (response.status, (await response.json())["error"]["code"])
    assert "unforeseen" not in house.log()


async def test_a_body_that_is_not_what_it_says_is_refused(api: Api, house: House) -> None:
    """Such as one that is called compressed, and is not."""
    said = {"Content-Encoding": "gzip"}
    async with api.http.post("http://sessiond/v1/plan", data=b'{"service": "web"}', headers=said) as response:
        assert (400, "bad-request") == (response.status, (await response.json())["error"]["code"])
    assert "unforeseen" not in house.log()


async def test_a_stream_has_no_head_alone(api: Api) -> None:
    """What came after it would be taken for the next answer on the connection."""
    session = await api.over()
    for path in (f"/v1/sessions/{session['id']}/log", "/v1/events?since=0"):
        with anyio.fail_after(10):
            async with api.http.head(f"http://sessiond{path}") as response:
                assert 405 == response.status


async def test_a_senseless_offset_is_refused_or_empty(api: Api) -> None:
    """Before the answer has begun, not by a broken connection."""
    session = await api.over()
    for offset in ("x", "1.5", "9" * 5000, "9" * 30, "-" + "9" * 30):
        async with api.http.get(f"http://sessiond/v1/sessions/{session['id']}/log?offset={offset}") as response:
            assert response.status in (200, 400)
            await response.read()


@pytest.mark.parametrize(
    "headers", [{"Origin": "http://evil.example"}, {"Origin": "null"}, {"Host": "evil.example"}, {"Host": "127.0.0.1"}]
)
@pytest.mark.parametrize(("method", "path"), [("GET", "/v1/sessions"), ("POST", "/v1/sessions"), ("GET", "/nowhere")])
async def test_web_pages_are_refused(api: Api, method: str, path: str, headers: dict[str, str]) -> None:
    """A browser can be made to send requests, but not without saying where they come from."""
    status, code, _ = await api.error(method, path, headers=headers)
    assert (422, "refused") == (status, code)


async def test_stopping_what_is_over_changes_nothing(api: Api) -> None:
    """202, and the same session."""
    ended = session = await api.over()
    assert (202, ended) == await api.ask("POST", f"/v1/sessions/{session['id']}/stop")


async def test_the_secret_is_nowhere_but_in_the_url(api: Api, house: House) -> None:
    """Not in any answer, not in events, not in the daemon's log; not in what a plan shows."""
    session = await api.start("web", set={"password_like": "hunter2"})
    await api.reaches(session, "running")
    (secrets,) = house.root.glob(f"sessiond/{session['id']}/secrets.sh")
    found = re.search(r"service_token='?([\w-]{32})", secrets.read_text())
    assert found is not None
    token = found[1]
    shown = (await api.ask("GET", f"/v1/sessions/{session['id']}"))[1]
    assert token in shown.pop("url")
    story = (await api.ask("GET", f"/v1/sessions/{session['id']}/story"))[1]
    assert token in story["session"].pop("url")
    events = await api.events(0, (session["id"], "running"))
    plan = (await api.ask("POST", "/v1/plan", {"service": "web"}))[1]
    everything = [shown, story, events, plan["url"], plan["files"]["inputs.sh"], house.log()]
    everything += [(await api.ask("GET", path))[1] for path in ("/v1/status", "/v1/services", "/v1/clusters")]
    everything.append([{**s, "url": None} for s in (await api.ask("GET", "/v1/sessions?all=1"))[1]])
    assert token not in json.dumps(everything)
    assert "***" in plan["files"]["secrets.sh"]
    kept = [path for path in house.root.glob("state/sessions/**/*") if path.is_file() and path.name != "service.json"]
    assert [] == [path for path in kept if token.encode() in path.read_bytes()]
    assert len(kept) > 3
    await api.stop(session)


async def test_the_story_of_a_failure_shows_its_log_without_the_secret(api: Api, house: House) -> None:
    """A service that prints its own token is no reason to pass it on to whoever reads the story."""
    session = await api.start("chatty")
    ended = await api.reaches(session, "ended")
    assert "failed" == ended["outcome"]
    story = (await api.ask("GET", f"/v1/sessions/{session['id']}/story"))[1]
    assert "the end" in story["log"]
    assert [] == [line for line in story["log"] if re.search(r"my token is [\w-]{32}", line)]


async def test_the_story_names_evidence_and_the_next_step(api: Api) -> None:
    """What the exit record says, and which command to go on with."""
    session = await api.start("chatty", name="talks")
    await api.reaches(session, "ended")
    known = "its script's exit record: status 3"
    with anyio.fail_after(20):
        # It is collected beside the end, and no event tells that it is over.
        while known not in (story := (await api.ask("GET", "/v1/sessions/talks/story"))[1])["evidence"]:  # noqa: ASYNC110
            await anyio.sleep(0.05)
    assert story["next"].startswith("sessionctl logs talks")
    assert story["next"].endswith("sessionctl start chatty --again")
    assert {"session", "lines", "next", "evidence", "log"} == set(story)


async def test_a_bundle(api: Api) -> None:
    """The story and files, each a text; nothing is found in them that opens anything."""
    session = await api.start("chatty", name="bundled")
    token = session["url"].partition("sessiond=")[2].partition("&")[0]
    assert 32 < len(token)
    ended = await api.reaches(session, "ended")
    status, bundle = await api.ask("GET", "/v1/sessions/bundled/bundle")
    assert (200, {"story", "files"}) == (status, set(bundle))
    assert ended["id"] == json.loads(bundle["files"]["session.json"])["id"]
    assert "my token is ***" in bundle["files"]["log.txt"]
    assert "not known" in bundle["files"]["versions.txt"].partition("scheduler's version: ")[2]
    assert token not in json.dumps(bundle)
    assert (404, "not-found") == (await api.error("GET", "/v1/sessions/nobody/bundle"))[:2]


async def test_a_folder_whose_name_is_not_utf_8_hides_no_service(api: Api, house: House) -> None:
    """It is listed with what is wrong with it, and asking for it is no fault of the daemon's."""
    services = house.root / "config" / "sessiond" / "services"
    folder = services / os.fsdecode(b"caf\xe9")
    folder.mkdir()
    try:
        status, found = await api.ask("GET", "/v1/services")
        assert 200 == status
        (odd,) = [one for one in found if one["name"] == "caf\\xe9"]
        assert (f"{services}/caf\\xe9", 2) == (odd["folder"], len(odd["problems"]))
        assert (422, "bad-service") == (await api.error("POST", "/v1/sessions", {"service": "caf\\xe9"}))[:2]
    finally:
        folder.rmdir()
