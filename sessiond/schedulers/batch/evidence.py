"""What a batch scheduler's programs and a session's own files say, as evidence of how its job ended."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace

from sessiond.core.command import Completed
from sessiond.core.errors import Unreadable
from sessiond.core.report import Evidence, Words
from sessiond.core.session import Session
from sessiond.schedulers import common
from sessiond.schedulers.batch import reply

_UNITS = {"": 1, "K": 1 << 10, "M": 1 << 20, "G": 1 << 30, "T": 1 << 40}
_AMOUNT = re.compile(r"([0-9]{1,15}(?:\.[0-9]{1,6})?)([KMGT]?)[bB]?", re.ASCII | re.IGNORECASE)

Reader = Callable[[Evidence, list[list[str]]], Evidence]
"""Adds what the scheduler's own programs said, the rest of a reply, to what is known. May raise Unreadable."""


def amount(text: str) -> int | None:
    """Bytes, as schedulers write them: ``123456K``, ``1.5G``, ``2048kb``; None for anything else."""
    found = _AMOUNT.fullmatch(text.strip())
    return None if found is None else int(float(found[1]) * _UNITS[found[2].upper()])


def read(session: Session, done: Completed, submitter: str, reader: Reader) -> Evidence:
    """The reply of batch_evidence.sh. Raises Unreadable where it is not whole."""
    found = common.reply(done)
    if len(found) < 3:
        raise Unreadable(f"the evidence of a session has {len(found)} records")
    evidence = own_record(found.pop(0))
    what, *said = found.pop(0)
    if what != "refusal":
        raise Unreadable("the evidence of a session has no word of its submission")
    refusal = common.FIELD.join(said).strip()
    if refusal:
        evidence = replace(evidence, words=(Words(asked=submitter, said=refusal),))
    what, *said = found.pop(0)
    text = common.printable(" ".join(said))
    if what == "missing":
        return replace(evidence, missing=(*evidence.missing, f"the scheduler's words: {text}"))
    evidence = replace(evidence, version=text)
    if session.job is None:
        return evidence
    try:
        return reader(evidence, found)
    except Unreadable as error:
        return replace(evidence, missing=(*evidence.missing, f"the scheduler's words: {error.message}"))


def own_record(record: list[str]) -> Evidence:
    """What the session's own files say. Raises Unreadable."""
    said = reply.own_word(record)
    missing = () if said.folder else ("its exit record: the session's folder is not there",)
    return Evidence(status=said.status, reason=said.reason, failure=said.failure, missing=missing)
