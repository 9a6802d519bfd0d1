"""Writes docs/states.md from the tables: ``python -m tests.core.states_doc > docs/states.md``."""

from __future__ import annotations

from collections import defaultdict

from sessiond.core.link import LINK_EVENTS, LINK_IGNORED, LINK_TABLE, LinkState
from sessiond.core.link import Rule as LinkRule
from sessiond.core.session import NO_ROOM, STILL_THERE, State
from sessiond.core.table import (
    ANSWERS,
    DEADLINES,
    EVENTS,
    IGNORED,
    MAX_WAIT,
    PAUSED_BY,
    READY_WITHIN,
    TABLE,
    WANTS,
    Rule,
)

INTRO = """# The states of a session

Generated from `sessiond/core/table.py` by `make docs`; a test holds it current. `E -> S  A` reads: on event E go to
state S and order action A. *retry later* arms the back-off, whose RetryDue repeats the state's action; *because* is how
the session will have ended. What is neither a rule nor ignored is impossible: it raises, and changes nothing.

"""

LINK_INTRO = """# The states of a cluster's link

Generated from `sessiond/core/link.py` in the same way. A lost link is no state of a session: what people read is put
together from both. *unasked* is what holds instead where nobody was asked for anything and nothing was denied.
NEEDS_LOGIN and BLOCKED are left by a person or by another configuration only.

"""


def states_markdown() -> str:
    """The whole page."""
    parts = [INTRO, _mermaid(), _states(), _rules(), _answers(), LINK_INTRO, _link_mermaid(), _link_rules()]
    return "\n".join(parts)


def _mermaid() -> str:
    lines = ["```mermaid", "stateDiagram-v2", "    [*] --> render"]
    arrows: dict[tuple[State, State], list[str]] = defaultdict(list)
    for state in State:
        for kind, rule in TABLE[state].items():
            if rule.to is not state:
                arrows[state, rule.to].append(kind.__name__)
    lines += [f"    {_id(a)} --> {_id(b)}: {', '.join(names)}" for (a, b), names in arrows.items()]
    lines += [f"    {_id(State.ENDED)} --> [*]", "```", ""]
    return "\n".join(lines)


def _id(state: State) -> str:
    """Mermaid takes no hyphen in a state's name."""
    return state.value.replace("-", "_")


def _states() -> str:
    lines = [
        "## Standing work and deadlines",
        "",
        "| state | standing work | deadline (observed time) |",
        "| --- | --- | --- |",
    ]
    for state in State:
        wants = ", ".join(sorted(want.name.lower() for want in WANTS[state])) or "-"
        lines.append(f"| {state} | {wants} | {_deadline(state)} |")
    return "\n".join([*lines, ""])


def _deadline(state: State) -> str:
    seconds = DEADLINES.get(state)
    if seconds is None:
        return "none"
    if seconds == READY_WITHIN:
        return "the service's `ready_within`"
    if seconds == MAX_WAIT:
        return "`--max-wait`, if it was said; for its first node"
    paused = f"; does not count while {_PAUSED[PAUSED_BY[state]]}" if state in PAUSED_BY else ""
    return (f"{seconds / 3600:g} h" if seconds >= 3600 else f"{seconds / 60:g} min") + paused


_PAUSED = {NO_ROOM: "there is no room", STILL_THERE: "the scheduler, asked for the job alone, has it"}


def _rules() -> str:
    lines = ["## Rules", ""]
    count = len(State) * len(EVENTS)
    rules = sum(len(TABLE[s]) for s in State)
    ignored = sum(len(IGNORED[s]) for s in State)
    lines += [f"{count} cells: {rules} rules, {ignored} ignored, {count - rules - ignored} impossible.", "", "```text"]
    for state in State:
        lines.append(str(state))
        lines += [f"    {kind.__name__:18s} -> {_rule(rule)}".rstrip() for kind, rule in TABLE[state].items()]
        if IGNORED[state]:
            lines.append(f"    ignored: {', '.join(sorted(kind.__name__ for kind in IGNORED[state]))}")
    return "\n".join([*lines, "```", ""])


def _rule(rule: Rule) -> str:
    text = f"{rule.to:14s}{rule.do.__name__ if rule.do is not None else '':14s}"
    if rule.later:
        text += " retry later"
    if rule.because is not None:
        text += f" because {rule.because}"
    return text


def _answers() -> str:
    lines = ["## Actions and their answers", "", "| action | answered by |", "| --- | --- |"]
    for action, answers in ANSWERS.items():
        names = ", ".join(kind.__name__ for kind in EVENTS if kind in answers) or "nothing: it only ends"
        lines.append(f"| {action.__name__} | {names} |")
    return "\n".join([*lines, ""])


def _link_mermaid() -> str:
    lines = ["```mermaid", "stateDiagram-v2", f"    [*] --> {LinkState.IDLE}"]
    arrows: dict[tuple[LinkState, LinkState], list[str]] = defaultdict(list)
    for state in LinkState:
        for kind, rule in LINK_TABLE[state].items():
            for way in (rule, rule.unasked):
                if way is not None and way.to is not state:
                    arrows[state, way.to].append(kind.__name__ + (" (unasked)" if way is rule.unasked else ""))
    lines += [
        f"    {a.value.replace('-', '_')} --> {b.value.replace('-', '_')}: {', '.join(names)}"
        for (a, b), names in arrows.items()
    ]
    return "\n".join([*lines, "```", ""])


def _link_rules() -> str:
    count = len(LinkState) * len(LINK_EVENTS)
    rules = sum(len(LINK_TABLE[s]) for s in LinkState)
    ignored = sum(len(LINK_IGNORED[s]) for s in LinkState)
    lines = [f"{count} cells: {rules} rules, {ignored} ignored, {count - rules - ignored} impossible.", "", "```text"]
    for state in LinkState:
        lines.append(str(state))
        lines += [f"    {kind.__name__:18s} -> {_link_rule(rule)}".rstrip() for kind, rule in LINK_TABLE[state].items()]
        if LINK_IGNORED[state]:
            lines.append(f"    ignored: {', '.join(sorted(kind.__name__ for kind in LINK_IGNORED[state]))}")
    return "\n".join([*lines, "```", ""])


def _link_rule(rule: LinkRule) -> str:
    text = f"{rule.to:16s}{' '.join(action.name.lower() for action in rule.do)}"
    return text if rule.unasked is None else f"{text}  (unasked: {_link_rule(rule.unasked).rstrip()})"


if __name__ == "__main__":
    print(states_markdown(), end="")
