"""A session's story, and everything about it for somebody who is to help: no secret is in either."""

from __future__ import annotations

import json
import platform
from collections.abc import Iterable
from dataclasses import asdict, replace
from importlib.metadata import PackageNotFoundError, version

from sessiond import __version__
from sessiond.api import wire
from sessiond.api.service import Desk
from sessiond.api.views import rfc3339, story_line
from sessiond.core.events import TunnelDown
from sessiond.core.ids import SessionId
from sessiond.core.postmortem import PostMortem, ended_unexpectedly, sentences
from sessiond.core.session import Session, State
from sessiond.core.status import Severity, advice
from sessiond.core.story import without_repetitions
from sessiond.render.mask import Masker
from sessiond.runtime.folders import Folders
from sessiond.runtime.postmortem import PostMortems
from sessiond.runtime.standing import StandingWork
from sessiond.store.store import Store

_LOG_LINES = 20
_RECORDS = 10_000
_SCRIPT_BYTES = 256 * 1024
_LIBRARY = ("lib/", "utils/")
"""What is the same for all sessions of a version."""
_WITHIN_S = 20.0
"""How long somebody who asks waits for each of a cluster's answers."""
_PACKAGES = ("aiohttp", "anyio", "asyncssh", "cryptography", "msgspec")


def tunnel_trouble(standing: StandingWork, store: Store, session: SessionId) -> str:
    """The last thing that was wrong with the way to a session's service, and when; empty where nothing was."""
    problem = standing.trouble(session)
    if problem is not None:
        return f"{problem.message} ({rfc3339(problem.at)})"
    for stored in reversed(store.records(session=session, limit=_RECORDS)):
        if isinstance(stored.record.event, TunnelDown):
            return f"{stored.record.event.problem.message} ({rfc3339(stored.record.at)})"
    return ""


class Teller:
    """Tells of sessions."""

    def __init__(self, desk: Desk, store: Store, folders: Folders, postmortems: PostMortems) -> None:
        self._desk = desk
        self._store = store
        self._folders = folders
        self._postmortems = postmortems

    async def story(self, session: Session) -> wire.Story:
        """Everything that happened, what is known of why, and what to do."""
        found = self._kept(session) or PostMortem(at=self._desk.clock.now(), complete=False)
        if not found.log and (ended_unexpectedly(session) or self._is_late(session)):
            lines, _ = await self._postmortems.log(session, self._masker(session), _WITHIN_S)
            found = replace(found, log=lines)
        return self._story(session, found)

    async def bundle(self, session: Session) -> wire.Bundle:
        """The same, and what one would ask for next, as files."""
        kept = self._kept(session)
        found = kept if kept is not None and kept.complete else await self._collected(session)
        told = self._story(session, found)
        mask = self._masker(session)
        address = mask(self._desk.address(session)) if session.live else None
        view = {**mask.within(self._desk.view(session)), "url": address}
        files = {
            "session.json": _json(view | self._asked_for(session, mask)),
            "log.txt": mask(_lines(found.log)),
            "scheduler.txt": mask(self._words(found)),
            "evidence.json": _json(mask.within(asdict(found) | {"log": "see log.txt"})),
            "link.txt": self._links(session, mask),
            "versions.txt": self._versions(session, found),
        }
        for path, content in self._folders.rendered(session.id).items():
            if not path.startswith(_LIBRARY):
                files[f"rendered/{path}"] = mask(content[:_SCRIPT_BYTES].decode(errors="replace"))
        masked: wire.Story = {**told, "session": {**told["session"], "url": address}}
        return {"story": masked, "files": files}

    def _story(self, session: Session, found: PostMortem) -> wire.Story:
        mask = self._masker(session)
        records = self._store.records(session=session.id, limit=_RECORDS)
        lines = [story_line(record) for record in without_repetitions(stored.record for stored in records)]
        evidence = sentences(found) if ended_unexpectedly(session) else self._living(session)
        view = self._desk.view(session)
        problem = view["problem"]
        if problem is not None:
            problem = {**problem, "message": mask(problem["message"]), "hint": mask(problem["hint"])}
        return {
            "session": {**view, "phrase": mask(view["phrase"]), "next": mask(view["next"]), "problem": problem},
            "lines": [{**line, "text": mask(line["text"])} for line in lines],
            "next": mask(advice(session) if session.state is State.ENDED else self._desk.status(session).next),
            "evidence": [mask(text) for text in evidence],
            "log": [mask(line) for line in found.log[-_LOG_LINES:]],
        }

    def _living(self, session: Session) -> list[str]:
        """What is known of why a living session cannot be reached; nothing where it can."""
        found = []
        down = session.live and self._desk.link(session)["state"] != "up"
        if down and (link := self._postmortems.link(session)):
            found.append(f"the connection to its cluster: {link}")
        if session.state is State.TUNNEL and (trouble := self._postmortems.tunnel(session)):
            found.append(f"the last trouble on the way to its service: {trouble}")
        return found

    def _is_late(self, session: Session) -> bool:
        """Whether the service of a living session has had its time, and has never answered."""
        late = self._desk.status(session).severity is not Severity.BUSY
        return session.state is State.TUNNEL and session.ready_at is None and late

    def _kept(self, session: Session) -> PostMortem | None:
        return self._postmortems.of(session.id) if ended_unexpectedly(session) else None

    async def _collected(self, session: Session) -> PostMortem:
        return await self._postmortems.collect(session, self._gateway_words(session), _WITHIN_S)

    def _gateway_words(self, session: Session) -> Iterable[str]:
        keeper = self._desk.doorkeeper
        return (keeper.token(session.id), keeper.cookie(session.id))

    def _masker(self, session: Session) -> Masker:
        return Masker([*session.spec.secrets.values(), *self._gateway_words(session)])

    # Files.

    def _asked_for(self, session: Session, mask: Masker) -> dict[str, object]:
        """What the session was started with; of secrets only that there are such."""
        spec = session.spec
        return {
            "params": mask.within(dict(spec.params)),
            "secrets": sorted(spec.secrets),
            "resources": mask.within(asdict(spec.resources)),
            "setup": mask(spec.setup),
        }

    def _words(self, found: PostMortem) -> str:
        if found.evidence is None or not found.evidence.words:
            return "nothing: " + ("; ".join(found.missing) or "there is no scheduler here, or it was not asked") + "\n"
        return "\n".join(f"$ {one.asked}\n{one.said}\n" for one in found.evidence.words)

    def _links(self, session: Session, mask: Masker) -> str:
        link = self._desk.link(session)
        lines = [
            f"cluster: {session.spec.cluster} ({session.spec.mode})",
            f"link: {link['state']} since {link['since']}",
            f"link in words: {self._postmortems.link(session) or 'well'}",
            f"last trouble on the way to the service: {self._postmortems.tunnel(session) or 'none'}",
        ]
        return _lines(map(mask, lines))

    def _versions(self, session: Session, found: PostMortem) -> str:
        desk = self._desk
        cluster = desk.clusters.by_name.get(session.spec.cluster)
        lines = [
            f"sessiond {__version__}, since {rfc3339(desk.started)}",
            f"Python {platform.python_version()} on {platform.platform()}",
            *(f"{name} {_version(name)}" for name in _PACKAGES),
            f"scheduler: {cluster.scheduler if cluster is not None else 'its cluster is not configured any more'}",
            f"scheduler's version: {(found.evidence.version if found.evidence is not None else '') or 'not known'}",
            f"gateway: {'on' if desk.gateway is not None else 'off'}",
            *(f"warning: {text}" for text in desk.warnings),
        ]
        if cluster is not None and (trouble := cluster.trouble(session)) is not None:
            lines.append(f"the last look at the cluster failed: {trouble.message}")
        return _lines(map(self._masker(session), lines))


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return "is not installed"


def _json(found: object) -> str:
    return json.dumps(found, indent=2, ensure_ascii=False) + "\n"


def _lines(lines: Iterable[str]) -> str:
    return "".join(f"{line}\n" for line in lines)
