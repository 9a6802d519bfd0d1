"""What the gateway says itself, where no service can answer: not yet, no longer, not to you, not here.

A page for people in a browser, one or two lines of plain text for everything else. All of it says in words what is
going on and what happens next. A page that waits looks again by itself and reloads where the user wanted to go.
"""

from __future__ import annotations

import json
import secrets
from dataclasses import dataclass
from html import escape
from typing import Final

from aiohttp import web

POLL_HEADER: Final = "Sessiond-Poll"
"""A waiting page asks with this header; the gateway answers such a request itself, so the service never sees it."""

RETRY_AFTER_S: Final = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Notice:
    """Something to say. ``severity`` is ok, busy, attention or error; ``waits`` is whether to look again by itself.

    No text in it is trusted: a phrase may quote what a scheduler or a service wrote.
    """

    status: int
    title: str
    phrase: str
    next: str = ""
    severity: str = "attention"
    waits: bool = False


def answer(notice: Notice, *, html: bool) -> web.Response:
    """The answer that says a notice. Never cached, allowed to do nothing but what the page itself needs."""
    nonce = secrets.token_urlsafe(16)
    text = _page(notice, nonce) if html else _plain(notice)
    response = web.Response(status=notice.status, text=text, content_type="text/html" if html else "text/plain")
    response.headers["Cache-Control"] = "no-store"
    response.headers["Referrer-Policy"] = "no-referrer"
    response.headers["X-Content-Type-Options"] = "nosniff"
    if html:
        response.headers["Content-Security-Policy"] = (
            f"default-src 'none'; style-src 'nonce-{nonce}'; script-src 'nonce-{nonce}'; connect-src 'self'; "
            "base-uri 'none'; form-action 'none'; frame-ancestors 'self'"
        )
    if notice.status == 503:
        response.headers["Retry-After"] = str(RETRY_AFTER_S)
    return response


def poll_answer(notice: Notice | None) -> web.Response:
    """The answer to a waiting page's question: the notice it should show, or that it should reload (None)."""
    waits = notice is not None and notice.waits
    body = {"waits": waits} | ({"phrase": notice.phrase, "next": notice.next} if notice is not None else {})
    return web.Response(
        text=json.dumps(body),
        content_type="application/json",
        headers={"Cache-Control": "no-store", "X-Content-Type-Options": "nosniff"},
    )


def _plain(notice: Notice) -> str:
    return f"{notice.title}: {notice.phrase}\n" + (f"{notice.next}\n" if notice.next else "")


_STYLE = """
:root{color-scheme:light dark;--bg:#f6f7f9;--card:#fff;--ink:#1d2330;--soft:#5b6475;--line:#e2e5eb;--tone:#3568d4}
@media(prefers-color-scheme:dark){:root{--bg:#14171d;--card:#1d222b;--ink:#e8ebf1;--soft:#9aa4b5;--line:#2d3440;
--tone:#7ba2ff}}
.ok{--tone:#2b9a5c}.attention{--tone:#c98a11}.error{--tone:#d2453f}
*{box-sizing:border-box}
body{margin:0;min-height:100vh;display:grid;place-items:center;padding:1.5rem;background:var(--bg);color:var(--ink);
font:1rem/1.55 system-ui,sans-serif}
main{width:100%;max-width:34rem;padding:2rem 2.25rem;background:var(--card);border:1px solid var(--line);
border-top:4px solid var(--tone);border-radius:12px;overflow-wrap:anywhere}
h1{margin:0 0 .75rem;font-size:1.05rem;font-weight:600;color:var(--soft)}
#phrase{margin:0;font-size:1.35rem;line-height:1.4}
#next{margin:.75rem 0 0;color:var(--soft)}
#next:empty{display:none}
.bar{height:3px;margin-top:1.5rem;border-radius:2px;background:var(--line);overflow:hidden}
.bar i{display:block;width:30%;height:100%;background:var(--tone);animation:go 1.8s ease-in-out infinite}
@keyframes go{from{transform:translateX(-110%)}to{transform:translateX(440%)}}
@media(prefers-reduced-motion:reduce){.bar i{width:100%;animation:none}}
"""

_SCRIPT = """
const show = (id, text) => { document.getElementById(id).textContent = text || ""; };
const look = async () => {
  try {
    const got = await fetch(location.href, {headers: {"POLL_HEADER": "1"}, cache: "no-store"});
    const news = got.ok ? await got.json() : {};
    if (!news.waits) { location.reload(); return; }
    show("phrase", news.phrase);
    show("next", news.next);
  } catch {
    show("next", "No answer from sessiond just now. This page keeps trying.");
  }
  setTimeout(look, DELAY_MS);
};
setTimeout(look, DELAY_MS);
""".replace("POLL_HEADER", POLL_HEADER).replace("DELAY_MS", str(RETRY_AFTER_S * 1000))


def _page(notice: Notice, nonce: str) -> str:
    title, phrase, following = escape(notice.title), escape(notice.phrase), escape(notice.next)
    tone = notice.severity if notice.severity in {"ok", "busy", "attention", "error"} else "attention"
    again = f'<noscript><meta http-equiv="refresh" content="{RETRY_AFTER_S}"></noscript>\n' if notice.waits else ""
    bar = '<div class="bar"><i></i></div>\n' if notice.waits else ""
    script = f'<script nonce="{nonce}">{_SCRIPT}</script>\n' if notice.waits else ""
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f'{again}<title>{title}</title>\n<style nonce="{nonce}">{_STYLE}</style>\n</head>\n<body class="{tone}">\n'
        f'<main>\n<h1>{title}</h1>\n<p id="phrase" role="status">{phrase}</p>\n<p id="next">{following}</p>\n'
        f"{bar}</main>\n{script}</body>\n</html>\n"
    )
