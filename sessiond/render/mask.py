"""Text without secrets: known values in every spelling they may have, and what looks like a credential."""

from __future__ import annotations

import base64
import html
import json
import re
from collections.abc import Iterable, Iterator, Mapping
from urllib.parse import quote, quote_plus

from sessiond.core.errors import SpecError
from sessiond.render.quote import escaped, inside_double, word

MASK = "***"

_SHORT = 4
"""A value shorter than this is masked only where it stands by itself: each `1` of a text tells nothing."""
_LINE = 6
"""The shortest line of a secret of several lines that is masked by itself."""
_BEGINNING = 8
_WHOLE = 12
"""Of a value at least this long its first `_BEGINNING` characters count as the value: messages are cut."""

_NAMED = r"[\w.-]*(?:token|passw|secret|sessiond|api.?key|auth|signature)[\w.-]*"
_CREDENTIALS = tuple(
    re.compile(form, re.IGNORECASE | re.DOTALL)
    for form in (
        # A private key, also one whose end is cut off.
        r"(-----BEGIN [A-Z ]*PRIVATE KEY-----).*?(?:-----END [A-Z ]*PRIVATE KEY-----|\Z)",
        # A parameter of a URL that is called like one.
        rf"([?&;#]{_NAMED}=)[^&#\s\"'<>;]+",
        # The password in scheme://user:password@host.
        r"(\b[a-z][a-z0-9+.-]*://[^/\s:@]*:)[^/\s@]+(?=@)",
        # Headers as servers log them.
        r"(\b(?:proxy-)?authorization[\"']?\s*[:=]\s*|\b(?:set-)?cookie[\"']?\s*:\s*)[^\r\n]+",
    )
)
"""What is a credential whoever's it is; the first group of each stays."""


class Masker:
    """Takes ``secrets`` out of text. Made once for many texts."""

    def __init__(self, secrets: Iterable[str]) -> None:
        values = {value for secret in secrets for value in _parts(secret)}
        spelled = {spelling for value in values for spelling in _spellings(value) if spelling}
        # The longest first: one secret may be the beginning of another.
        ordered = sorted(spelled, key=lambda one: (-len(one), one))
        forms = [re.escape(one) if len(one) >= _SHORT else rf"(?<!\w){re.escape(one)}(?!\w)" for one in ordered]
        self._known = re.compile("|".join(forms)) if forms else None
        self._long = sorted((value for value in values if len(value) >= _WHOLE), key=len, reverse=True)

    def __call__(self, text: str) -> str:
        """``text`` with `MASK` in the place of each secret."""
        if self._known is not None:
            text = self._known.sub(MASK, text)
        for value in self._long:
            text = _without_beginning(text, value)
        for form in _CREDENTIALS:
            text = form.sub(rf"\1{MASK}", text)
        return text

    def within(self, found: Mapping[str, object]) -> dict[str, object]:
        """An object of JSON with every text in it masked, but the names of its fields."""
        return {key: self._within(value) for key, value in found.items()}

    def _within(self, found: object) -> object:
        match found:
            case str():
                return self(found)
            case dict():
                return self.within(found)
            case list() | tuple():
                return [self._within(value) for value in found]
            case _:
                return found


def masked(text: str, secrets: Iterable[str]) -> str:
    """``text`` of ours without ``secrets``, as they are and as shell words spell them; all else stays as it is."""
    for value in filter(None, secrets):
        for spelled in (word(value)[1:-1], escaped(value), value):
            text = text.replace(spelled, MASK)
    return text


def _parts(secret: str) -> Iterator[str]:
    """The value, without the blanks around it, and each of its lines: a log may show them one by one."""
    yield secret
    if secret.strip():
        yield secret.strip()
    lines = secret.splitlines()
    if len(lines) > 1:
        yield from (line.strip() for line in lines if len(line.strip()) >= _LINE)


def _spellings(value: str) -> Iterator[str]:
    """How a value may be written: as it is, for shells, in JSON, URLs, HTML and Python, and in base 64."""
    yield value
    for quoted in (_in_quotes, escaped, inside_double):
        try:
            yield quoted(value)
        except SpecError:
            continue
    yield value.replace("'", "'\"'\"'")
    yield re.sub(r"[^\w@%+=:,./-]", r"\\\g<0>", value)
    yield json.dumps(value)[1:-1]
    yield json.dumps(value, ensure_ascii=False)[1:-1]
    yield repr(value)[1:-1]
    yield html.escape(value)
    raw = value.encode(errors="surrogatepass")
    yield from (quote(raw, safe=""), quote(raw, safe="/"), quote_plus(raw))
    yield base64.b64encode(raw).decode("ascii").rstrip("=")
    yield base64.urlsafe_b64encode(raw).decode("ascii").rstrip("=")


def _in_quotes(value: str) -> str:
    return word(value)[1:-1]


def _without_beginning(text: str, value: str) -> str:
    """``text`` without what is left of ``value`` where its end was cut off."""
    found: list[str] = []
    at = 0
    while (begin := text.find(value[:_BEGINNING], at)) >= 0:
        size = _BEGINNING
        while size < len(value) and text[begin + size : begin + size + 1] == value[size]:
            size += 1
        found += [text[at:begin], MASK]
        at = begin + size
    return "".join([*found, text[at:]])
