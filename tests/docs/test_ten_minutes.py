"""Who follows the page about adding a service has a service, and nobody else has its files."""

from __future__ import annotations

from http.cookiejar import CookieJar
from urllib.error import HTTPError
from urllib.request import HTTPCookieProcessor, OpenerDirector, ProxyHandler, build_opener

import pytest

from tests.docs.house import place
from tests.docs.pages import ROOT, Written, steps

_PAGE = ROOT / "docs" / "adding-a-service.md"


def _browser() -> OpenerDirector:
    return build_opener(HTTPCookieProcessor(CookieJar()), ProxyHandler({}))


def test_each_session_of_the_page_shows_its_folder_to_who_has_its_address() -> None:
    """Once with the secret, from then on with the cookie; without either, not even with the gateway's own token."""
    seen = []
    with place() as here:
        for step in steps(_PAGE):
            if isinstance(step, Written):
                here.write(step.path, step.text)
                continue
            done = here.run(step.command)
            if step.command.startswith("sessionctl start"):
                url = done.stdout.strip()
                browser = _browser()
                with browser.open(url) as page:
                    seen.append("Directory listing for /" in page.read().decode())
                with browser.open(url.split("?")[0]) as page:
                    seen.append(page.status == 200)
                stranger = _browser()
                with pytest.raises(HTTPError, match="403"):
                    stranger.open(url.replace("?token=", "?token=x"))
    assert [True] * 4 == seen
