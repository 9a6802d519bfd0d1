"""Check that a URL answers 200 with JupyterLab's page, as a browser would ask for it; say why not, and fail."""

from __future__ import annotations

import sys
from http.cookiejar import CookieJar
from urllib.error import URLError
from urllib.request import HTTPCookieProcessor, ProxyHandler, build_opener


def main() -> None:
    """Ask once: the session said that it is running."""
    opener = build_opener(HTTPCookieProcessor(CookieJar()), ProxyHandler({}))
    try:
        with opener.open(sys.argv[1], timeout=30) as answer:
            page = answer.read(1 << 20).decode(errors="replace")
            status = answer.status
    except URLError as error:
        raise SystemExit(f"the URL does not answer: {error}") from error
    if status != 200 or "JupyterLab" not in page:
        raise SystemExit(f"the URL answered {status}, but not with JupyterLab's page")


if __name__ == "__main__":
    main()
