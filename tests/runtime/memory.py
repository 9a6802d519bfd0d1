"""A history for tests in which a store is not the point."""

from __future__ import annotations

from collections.abc import Sequence

from sessiond.core.errors import Bug, StateFull
from sessiond.core.ids import ActionId, SessionId
from sessiond.core.machine import Step
from sessiond.core.session import State


class Memory:
    """A history that forgets everything at its end, and is as strict about its journal as the store is.

    While ``full`` it can write nothing; transitions of sessions in ``broken`` it refuses.
    """

    def __init__(self) -> None:
        self.steps: list[Step] = []
        self.open: dict[ActionId, str] = {}
        self.full = False
        self.broken: set[SessionId] = set()

    def commit(self, step: Step, *, at: float, done: ActionId | None = None, withdrawn: Sequence[ActionId] = ()) -> int:
        """As `Store.commit`."""
        self._check()
        if step.after.id in self.broken:
            raise Bug("the state database refuses what it was given")
        assert step.record is not None
        for closed in (done, *withdrawn):
            if closed is not None:
                self._close(closed)
        self.open |= {order.id: type(order.action).__name__ for order in step.record.actions}
        self.steps.append(step)
        return len(self.steps)

    def action_started(self, action: ActionId, at: float) -> None:
        """As `Store.action_started`."""
        self._check()
        if action not in self.open:
            raise Bug(f"action {action} was started but is not open in the journal")

    def action_done(self, action: ActionId, at: float) -> None:
        """As `Store.action_done`."""
        self._check()
        self._close(action)

    def remove(self, session: SessionId) -> None:
        """As `Store.remove`."""
        self._check()

    def states(self, session: SessionId) -> list[State]:
        """The states a session went through, each once in a row."""
        seen: list[State] = []
        for step in self.steps:
            if step.after.id == session and step.after.state not in seen[-1:]:
                seen.append(step.after.state)
        return seen

    def _check(self) -> None:
        if self.full:
            raise StateFull("the disk is full")

    def _close(self, action: ActionId) -> None:
        if self.open.pop(action, None) is None:
            raise Bug(f"action {action} is not open in the journal")
