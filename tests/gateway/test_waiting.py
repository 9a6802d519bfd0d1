"""What people read where no service answers."""

import json
import re

import pytest

from sessiond.api.gateway import Door
from sessiond.api.waiting import Notice, answer
from sessiond.core.spec import Scheme

from .house import KEEPER, PORT, SESSION, ask, bound, door, house

pytestmark = pytest.mark.anyio

HTML = "Accept: text/html,*/*"
HOSTILE = "</p><script>alert(1)</script>&\"'\u202e\x00 \N{SNOWMAN} ${x} {0} %s POLL_HEADER"


def waiting(**more: str) -> Door:
    """A door whose service is not there yet."""
    return door(None, ready=False, phrase="waits in the queue", following="starts in 5 min", **more)  # type: ignore[arg-type]  # the text values only


async def test_a_session_that_is_not_ready_says_so_in_a_page() -> None:
    """The page has the words, looks again by itself, and is allowed nothing else."""
    async with house(waiting()) as at:
        status, headers, body = await ask(at, f"GET /me/{PORT}/lab?x HTTP/1.1", HTML)
    text = body.decode()
    assert (status, headers["retry-after"], headers["cache-control"]) == (503, "2", "no-store")
    assert "waits in the queue" in text
    assert "starts in 5 min" in text
    policy = headers["content-security-policy"]
    nonces = set(re.findall(r"nonce-([\w-]+)'", policy)) | set(re.findall(r'nonce="([\w-]+)"', text))
    assert len(nonces) == 1
    assert policy.startswith("default-src 'none';")
    assert "unsafe" not in policy
    assert '<meta http-equiv="refresh" content="2">' in text
    assert "location.reload()" in text
    assert "style=" not in text
    assert len(body) < 4000


async def test_everything_but_a_browser_gets_plain_text() -> None:
    """A script or a picture's request is told in two lines."""
    async with house(waiting()) as at:
        status, headers, body = await ask(at, f"GET /me/{PORT}/ HTTP/1.1", "Accept: */*")
    assert (status, headers["retry-after"], headers["content-type"]) == (503, "2", "text/plain; charset=utf-8")
    assert body == b"lab: waits in the queue\nstarts in 5 min\n"


async def test_a_post_is_not_repeated_by_its_page() -> None:
    """Only a page that was looked at reloads itself."""
    async with house(waiting()) as at:
        status, headers, body = await ask(at, f"POST /me/{PORT}/ HTTP/1.1", HTML, "Content-Length: 0")
    assert (status, headers["retry-after"]) == (503, "2")
    assert b"refresh" not in body
    assert b"reload" not in body


async def test_the_page_asks_the_gateway_and_not_the_service() -> None:
    """A question of the page is answered from what the daemon knows; when the service is ready it is to reload."""
    async with house(waiting()) as at:
        line = f"GET /me/{PORT}/lab HTTP/1.1"
        _, _, body = await ask(at, line, "Sessiond-Poll: 1")
        assert json.loads(body) == {"waits": True, "phrase": "waits in the queue", "next": "starts in 5 min"}
        at.book.doors[PORT] = door(("127.0.0.1", 1))
        assert json.loads((await ask(at, line, "Sessiond-Poll: 1"))[2]) == {"waits": False}
        assert (await ask(at, line, "Sessiond-Poll: 1", cookie=False))[0] == 403


async def test_no_text_can_become_a_page() -> None:
    """Whatever a scheduler or a service wrote is shown as text."""
    hostile = Notice(status=503, title=HOSTILE, phrase=HOSTILE, next=HOSTILE, severity='"><script>', waits=True)
    text = answer(hostile, html=True).text or ""
    assert text.count("<script") == 1
    assert "alert(1)</script>" not in text
    assert 'class="attention"' in text
    assert text.count("&lt;script&gt;alert(1)&lt;/script&gt;&amp;&quot;&#x27;") == 4
    async with house(door(None, ready=False, phrase=HOSTILE, following=HOSTILE)) as at:
        status, _, body = await ask(at, f"GET /me/{PORT}/ HTTP/1.1", HTML)
        assert status == 503
        assert b"<script>alert" not in body


async def test_an_ended_session_says_how() -> None:
    """It is gone, and a page of it does not look again."""
    async with house(door(None, ready=False, ended=True, phrase="ended: walltime", following="Start it again")) as at:
        status, headers, body = await ask(at, f"GET /me/{PORT}/ HTTP/1.1", HTML)
    assert status == 410
    assert "retry-after" not in headers
    assert b"ended: walltime" in body
    assert b"Start it again" in body
    assert b"reload" not in body


async def test_head_of_a_page_has_no_body() -> None:
    """HEAD tells the length and no more."""
    async with house(waiting()) as at:
        status, headers, body = await ask(at, f"HEAD /me/{PORT}/ HTTP/1.1", HTML)
    assert (status, body) == (503, b"")
    assert int(headers["content-length"]) > 1000


async def test_a_refused_connection_is_told_and_reported() -> None:
    """A ready session whose service takes no connection waits too, and the daemon is told to look."""
    with bound() as nobody:
        async with house(door(nobody.getsockname())) as at:
            status, headers, body = await ask(at, f"GET /me/{PORT}/ HTTP/1.1", HTML)
            posted, _, _ = await ask(at, f"POST /me/{PORT}/ HTTP/1.1", "Content-Length: 3", body=b"abc")
    assert (status, headers["retry-after"]) == (503, "2")
    assert b"does not take connections" in body
    assert posted == 503
    assert at.book.failures == [PORT, PORT]


async def test_a_token_on_a_waiting_session_is_kept_as_a_cookie() -> None:
    """The page's own questions carry no token, so the cookie comes with it."""
    async with house(waiting()) as at:
        line = f"GET /me/{PORT}/?sessiond={KEEPER.token(SESSION)} HTTP/1.1"
        status, headers, _ = await ask(at, line, HTML, cookie=False)
    assert status == 503
    assert headers["set-cookie"].startswith(at.cookie)


async def test_a_service_that_will_speak_https_waits_too() -> None:
    """Its page waits below /sme/, with a cookie for it; one that speaks http is not found there even then."""
    async with house(waiting(scheme=Scheme.HTTPS)) as at:
        line = f"GET /sme/{PORT}/?sessiond={KEEPER.token(SESSION)} HTTP/1.1"
        status, headers, _ = await ask(at, line, HTML, cookie=False)
    assert status == 503
    assert headers["set-cookie"].endswith(f"Path=/sme/{PORT}/")
