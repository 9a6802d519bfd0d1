"""What people have been told already, in a form that outlives the daemon."""

from __future__ import annotations

import json
from collections.abc import Container
from dataclasses import dataclass, field

from sessiond.core.ids import ClusterName, SessionId
from sessiond.core.notice import SAME_END_S


@dataclass(slots=True)
class Told:
    """All transitions up to number ``upto`` are settled: they were told, or are no news. Of later ones those in
    ``beyond`` were told. ``soon``: for which end (UTC seconds) of a session's walltime, and how near it was.
    ``logins``: the clusters that need a person and of which that was said."""

    upto: int
    beyond: set[int] = field(default_factory=set)
    soon: dict[SessionId, tuple[float, float]] = field(default_factory=dict)
    logins: set[ClusterName] = field(default_factory=set)

    def was_told_soon(self, session: SessionId, ends_by: float, near_s: float) -> bool:
        """Whether it was said that the session ends at ``ends_by``, when that was as near as ``near_s`` or nearer."""
        before = self.soon.get(session)
        return before is not None and ends_by <= before[0] + SAME_END_S and before[1] <= near_s

    def settle(self, upto: int, live: Container[SessionId]) -> None:
        """Everything up to ``upto`` is settled, and only ``live`` sessions can still end."""
        self.upto = max(self.upto, upto)
        self.beyond = {seq for seq in self.beyond if seq > self.upto}
        self.soon = {session: told for session, told in self.soon.items() if session in live}

    def dump(self) -> str:
        """As text."""
        return json.dumps(
            {"upto": self.upto, "beyond": sorted(self.beyond), "soon": self.soon, "logins": sorted(self.logins)}
        )


def load(text: str) -> Told | None:
    """What `Told.dump` wrote; None for anything else."""
    try:
        raw = json.loads(text)
        soon = {SessionId(str(k)): (float(ends_by), float(near)) for k, (ends_by, near) in raw["soon"].items()}
        return Told(
            upto=int(raw["upto"]),
            beyond={int(seq) for seq in raw["beyond"]},
            soon=soon,
            logins={ClusterName(str(name)) for name in raw["logins"]},
        )
    except (ValueError, TypeError, KeyError, AttributeError):
        return None
