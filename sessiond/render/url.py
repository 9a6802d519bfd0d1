"""Where in a service the browser lands: what its url.sh says, read without ever evaluating it as code.

A url.sh exports URLEND, the tail of a JavaScript expression whose first string literal it closes, with the escapes
of a sed replacement: ``lab"`` or ``tree?dt="+(new Date()).getTime()``. Only string literals joined by ``+`` and two
atoms occur in it, so only these are understood.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from urllib.parse import quote, unquote

from sessiond.core.command import Command, Completed
from sessiond.core.errors import SpecError
from sessiond.core.session import Session
from sessiond.render.inputs import inputs_sh, secrets_sh
from sessiond.render.quote import word

_MARK = b"\x1e"
_TIMEOUT_S = 10.0
_GIVEN = " ".join(f'{name}="${name}"' for name in ("HOME", "USER", "LOGNAME"))
_HINT = 'its url.sh must end with something like: export URLEND="lab\\""'

_TIME = "(new Date()).getTime()"
_HOST = "window.location.host"
# A literal holds no control characters and no backslash: JavaScript would read an escape, and we do not.
_LITERAL = re.compile(r'"([^"\\\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]*)"')
_TERM = re.compile(rf"{_LITERAL.pattern}|{re.escape(_TIME)}|{re.escape(_HOST)}")
_PLUS = re.compile(r" *\+ *")
# What a path with a query and a fragment may hold as it is (RFC 3986), but for the apostrophe, which ends attributes.
_URL_SAFE = "/?#[]@!$&()*+,;=:%~-._"


def url_command(session: Session, url_sh: bytes) -> Command:
    """Run ``url_sh`` with the session's inputs and secrets, who and where the user is, and nothing else, for at most
    ten seconds.

    All of it travels on stdin, so no secret is in an argv; url.sh itself has no stdin to read and nowhere to print.
    `read_urlend` reads the answer. Raises SpecError where url.sh is no text.
    """
    try:
        text = url_sh.decode()
    except UnicodeDecodeError as error:
        raise SpecError(f"service {session.spec.service.name}: url.sh is not UTF-8 text", hint=_HINT) from error
    script = (
        # One compound command: bash has read all of it before its stdin is taken away.
        "{\n"
        + inputs_sh(session).decode()
        + secrets_sh(session).decode()
        + "exec 3>&1 >/dev/null </dev/null\n"
        # A url.sh that calls exit has still said its URLEND.
        + 'trap \'printf "\\036%s\\036" "${URLEND-}" >&3\' EXIT\n'
        + f". /dev/stdin <<<{word(text)}\n"
        + "exit 0\n"
        + "}\n"
    )
    return Command(
        # sh, because bash would first run what BASH_ENV says.
        argv=("sh", "-c", f"exec env -i {_GIVEN} PATH=/usr/local/bin:/usr/bin:/bin bash --noprofile --norc -s"),
        stdin=script.encode(),
        timeout_s=_TIMEOUT_S,
    )


def read_urlend(completed: Completed) -> str:
    """URLEND as url.sh exported it; SpecError where it did not."""
    match completed.stdout.split(_MARK):
        case [b"", said, b""] if said:
            try:
                return said.decode()
            except UnicodeDecodeError as error:
                raise SpecError("url.sh set URLEND to something that is not UTF-8 text", hint=_HINT) from error
        case _:
            words = completed.stderr.decode(errors="replace").strip().splitlines()
            because = f": {words[-1]}" if words else ""
            raise SpecError(f"url.sh did not set URLEND{because}", hint=_HINT)


def slug(urlend: str) -> str:
    """``urlend`` without its sed escapes, as it is shown in service.json. SpecError where it is not understood."""
    plain = urlend.replace("\\&", "&").replace("\\/", "/")
    for _ in _terms(plain):
        pass
    return plain


def landing(urlend: str, prefix: str, host: str, now_ms: int) -> str:
    """The path the browser opens, below ``prefix`` ("/me/51234", or "" for an origin of the service's own).

    ``host`` stands for the browser's window.location.host, ``now_ms`` for its time in milliseconds since 1970. The
    result is a path of printable ASCII without quotes. SpecError for anything that is not understood or would leave
    the prefix.
    """
    atoms = {_TIME: str(now_ms), _HOST: host}
    tail = quote("".join(atoms[term] if term in atoms else term[1:-1] for term in _terms(slug(urlend))), safe=_URL_SAFE)
    path = re.split(r"[?#]", tail, maxsplit=1)[0]
    segments = [unquote(segment) for segment in path.split("/")]
    if path.startswith("/") or any(segment in (".", "..") or "/" in segment for segment in segments):
        raise SpecError("URLEND leads out of the service", hint=_HINT)
    return f"{prefix}/{tail}"


def _terms(plain: str) -> Iterator[str]:
    """The literals, with their quotes, and the atoms of the expression that ``plain`` is the tail of."""
    expression = f'"{plain}'
    at = 0
    while True:
        term = _TERM.match(expression, at)
        if term is None:
            raise SpecError("URLEND is not made of text, (new Date()).getTime() and window.location.host", hint=_HINT)
        yield term.group()
        if term.end() == len(expression):
            return
        plus = _PLUS.match(expression, term.end())
        if plus is None:
            raise SpecError("URLEND goes on after its text without a +", hint=_HINT)
        at = plus.end()
