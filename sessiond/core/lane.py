"""A session's lane: its one-shot actions, one at a time, in order. Pure; the journal in the store is its memory.

Two rules keep it honest. No action outlives the state that asked for it, so a late answer never meets a state that
does not expect it - except a Submit that has been started: that is never cancelled, never repeated and never
forgotten, and what is ordered meanwhile waits behind it.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from sessiond.core.actions import Action, Submit
from sessiond.core.ids import ActionId


@dataclass(frozen=True, slots=True)
class Ordered:
    """An action with the id under which it is journalled and answered."""

    id: ActionId
    action: Action


@dataclass(frozen=True, slots=True)
class Lane:
    """``current`` is being done (``started``) or is next; ``queued`` waits behind a started Submit."""

    current: Ordered | None = None
    started: bool = False
    queued: Ordered | None = None

    @property
    def unstoppable(self) -> bool:
        """Whether the current action is a Submit under way."""
        return self.started and self.current is not None and isinstance(self.current.action, Submit)


def expects(lane: Lane, answered: ActionId) -> bool:
    """Whether an answer to ``answered`` is still wanted; the answer to a withdrawn action is not."""
    return lane.current is not None and lane.current.id == answered


def begun(lane: Lane) -> Lane:
    """The current action's effect is about to happen."""
    return replace(lane, started=True)


def finished(lane: Lane) -> Lane:
    """The current action is over; what was queued is next."""
    return Lane(current=lane.queued)


def follow(lane: Lane, ordered: Ordered | None, *, moved: bool) -> tuple[Lane, tuple[ActionId, ...]]:
    """The lane after a transition that ordered ``ordered`` (if anything) and changed the state (``moved``).

    Returns it with the ids of the actions that were withdrawn.
    """
    if ordered is None and not moved:
        return lane, ()
    if lane.unstoppable:
        return replace(lane, queued=ordered), _ids(lane.queued)
    return Lane(current=ordered), _ids(lane.current, lane.queued)


def _ids(*orders: Ordered | None) -> tuple[ActionId, ...]:
    return tuple(order.id for order in orders if order is not None)
