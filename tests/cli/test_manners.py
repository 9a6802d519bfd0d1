"""How sessionctl behaves towards whoever sits before it: what matters is not cut, lines fit, silence is explained."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

import pytest

from sessiond.api.wire import EXIT_STATUS
from sessiond.cli.output import cells, hanging
from sessiond.core.errors import SessiondError
from tests.cli.canned_daemon import Canned
from tests.cli.canned_data import session
from tests.cli.conftest import Ctl
from tests.cli.test_golden import noon, on_clusters

CLOSED = {"state": "needs-login", "since": None}
STEERING = re.compile("\x1b\\[[0-9;]*[mK]")


def kinds(kind: type[SessiondError]) -> set[type[SessiondError]]:
    """An error's class and all that are made of it."""
    return {kind}.union(*(kinds(one) for one in kind.__subclasses__()))


def test_every_kind_of_error_has_its_exit_status() -> None:
    """What a script can do something about differs from a plain failure, which is 1: whatever is added must be here."""
    plain = {"error", "remote", "not-sent", "port-taken", "link-down", "host-down", "host-refused", "answer-lost"}
    plain |= {"answered", "unreadable", "bug", "state"}
    codes = {one.code for one in kinds(SessiondError)}
    assert set() == codes - plain - EXIT_STATUS.keys()
    assert set() == plain & EXIT_STATUS.keys()
    assert {1, 2, 3, 4, 5, 6, 75} == set(EXIT_STATUS.values())


@pytest.mark.parametrize("columns", [40, 60, 80])
def test_an_error_fits_the_terminal(ctl: Ctl, columns: int) -> None:
    """A sentence and a hint are folded at words, and begin as everywhere."""
    done = ctl.shown("show", "nobody", columns=columns, SESSIOND_STATE_DIR="/proc/nowhere")
    lines = STEERING.sub("", done.out).splitlines()
    assert (5, True) == (done.status, lines[0].startswith("sessionctl: sessiond cannot run"))
    assert max(map(cells, lines)) <= columns
    assert all(line.startswith("  ") for line in lines[1:])


@pytest.mark.parametrize("columns", [20, 30, 40, 60])
@pytest.mark.parametrize("verb", ["ls", "services", "workflows", "clusters", "partitions frontier"])
def test_a_table_for_the_narrowest_terminal(ctl: Ctl, canned: Canned, verb: str, columns: int) -> None:
    """However few columns there are, a list is a list; one of services keeps its lines there, too."""
    done = ctl(*verb.split(), COLUMNS=str(columns))
    assert (0, False) == (done.status, "Traceback" in done.err)
    if columns >= 40 and verb in ("ls", "services"):
        assert max(map(cells, done.out.splitlines())) <= columns


def test_folding() -> None:
    """At words, by columns; what fits nowhere stays where it is, and without a width all is one line."""
    assert ["one two three four", "    five six"] == hanging("one two three four five six", 20, 4)
    assert ["日本語 日本語", "  日本語"] == hanging("日本語 日本語 日本語", 19, 2)
    url = "http://127.0.0.1/" + "x" * 30
    assert [f"url  {url}", "     more"] == hanging(f"url  {url} more", 30, 5)
    assert ["a b c"] == hanging("a b c", None, 2)
    assert ["too narrow for words"] == hanging("too narrow for words", 12, 4)


@pytest.mark.parametrize(
    ("columns", "parts"),
    [
        (120, "big: waiting for a node: resources are busy; expected to start at 1.:.., in 1. min · [0-9]+s"),
        (80, "big: waiting for a node: r[a-z]*…; expected to start at 1.:.., in 1. min · [0-9]+s"),
        (60, "big: waiting for a n[a-z]*:?…; expected to start at 1.:.. · [0-9]+s"),
        (40, "big: waiting for a node: r[a-z]*… · [0-9]+s"),
    ],
)
def test_the_line_that_lives_keeps_what_matters(ctl: Ctl, canned: Canned, columns: int, parts: str) -> None:
    """How long already is always there, when it starts where there is room; what it does is cut for them."""
    on_clusters(canned)
    terminal = ctl.terminal("wait", "big", columns=columns, TZ=noon())
    terminal.until(b"(?s)\r.*\r.*\r")
    assert re.search(parts, terminal.seen.decode()) is not None, terminal.seen
    pictures = STEERING.sub("", terminal.seen.decode()).split("\r")
    assert max(map(cells, pictures)) < columns


def test_a_start_in_a_dumb_terminal(ctl: Ctl, canned: Canned) -> None:
    """No colours, nothing that is drawn again: a line for each thing that happens."""
    done = ctl.shown("start", "quick", TERM="dumb")
    assert (0, []) == (done.status, re.findall("\x1b|\r(?!\n)|[⠀-⣿]", done.out))
    assert done.out.startswith("quick: preparing its files\n")


def test_an_empty_log_says_so(ctl: Ctl, canned: Canned) -> None:
    """To a person; a pipe gets nothing at all."""
    canned.log = b""
    assert "It has written nothing so far.\n" == ctl.shown("logs", "jl").out
    assert "It has written nothing.\n" == ctl.shown("logs", "lost", "-n", "5").out
    done = ctl("logs", "jl")
    assert ("", "") == (done.out, done.err)


@pytest.mark.parametrize(("verb", "status"), [("ls", 0), ("ls --json", 0), ("show nobody", 3), ("--help", 0)])
@pytest.mark.parametrize("closed", ["<&-", ">&-", "2>&-", "<&- >&- 2>&-"])
def test_without_the_standard_streams(ctl: Ctl, canned: Canned, verb: str, status: int, closed: str) -> None:
    """As some programs start others: what cannot be shown is not, and all else is as it always is."""
    done = ctl.by_shell(f"{verb} {closed}")
    assert status == done.status, done.err
    assert "Traceback" not in done.err
    whole = ctl(*verb.split())
    assert done.out == ("" if ">&- " in f"{closed.replace('2>&-', '')} " else whole.out)
    assert done.err == ("" if "2>&-" in closed else whole.err)


@pytest.mark.parametrize("verb", ["ls", "ls --json", "why lost", "--help", "logs jl", "completion bash"])
def test_a_full_disk_below_the_output(ctl: Ctl, canned: Canned, verb: str) -> None:
    """One sentence and a failure, and whoever goes on with the file knows that it is not whole."""
    done = ctl.by_shell(f"{verb} > /dev/full")
    expected = "sessionctl: the output cannot be written: No space left on device\n  make room where it goes\n"
    assert (1, expected) == (done.status, done.err)


def test_errors_that_nobody_can_be_told(ctl: Ctl, canned: Canned) -> None:
    """The exit status still says it."""
    assert 3 == ctl.by_shell("show nobody 2> /dev/full").status


def test_a_start_whose_answer_is_lost(ctl: Ctl, canned: Canned) -> None:
    """It may have begun: what to look at is said, and not to try again, which may begin a second one."""
    canned.unanswered = "lost"
    done = ctl("start", "quick")
    sentence, hint = done.err.splitlines()
    assert (5, "sessionctl: sessiond went away before it answered") == (done.status, sentence)
    assert "  `sessionctl ls --all` shows whether it has begun all the same" == hint
    assert "quick" in ctl("ls", "--all").out


def test_a_start_that_is_interrupted_before_it_is_answered(ctl: Ctl, canned: Canned) -> None:
    """The same: a session that nobody was told of is not left behind in silence."""
    canned.unanswered = "kept"
    terminal = ctl.terminal("start", "quick")
    with canned.changed:
        assert canned.changed.wait_for(lambda: "quick" in canned.sessions, 30)
    terminal.type(b"\x03")
    assert 130 == terminal.end()
    words = "Interrupted before sessiond answered. `sessionctl ls --all` shows whether it has begun all the same."
    assert words in " ".join(STEERING.sub("", terminal.seen.decode()).split())


def test_ssh_where_a_login_is_needed(ctl: Ctl, canned: Canned) -> None:
    """It is said as everywhere, and not by ssh, to which it is a connection that was closed."""
    canned.sessions["far"] = session(
        "far", 9, cluster="alps", mode="slurm", link={"state": "needs-login", "since": None}
    )
    done = ctl("ssh", "far", "hostname")
    assert (4, "sessionctl: alps needs a login\n  sessionctl login alps\n") == (done.status, done.err)


def test_a_group_without_its_verb(ctl: Ctl) -> None:
    """One sentence and a hint, as for every line that lacks something."""
    done = ctl("workflow")
    expected = "sessionctl: missing command\n  `sessionctl workflow --help` shows what it takes\n"
    assert (2, "", expected) == (done.status, done.out, done.err)


@pytest.mark.parametrize(
    ("line", "sentence", "where"),
    [
        ("start tiny --set", "option '--set' requires an argument", "sessionctl start"),
        ("logs jl -n", "option '-n' requires an argument", "sessionctl logs"),
        ("workflow show x --json=3", "option '--json' does not take a value", "sessionctl workflow"),
        ("completion", "missing argument 'bash|zsh|fish'. Choose from: bash, zsh, fish", "sessionctl completion"),
    ],
)
def test_a_line_that_lacks_something(ctl: Ctl, line: str, sentence: str, where: str) -> None:
    """One line of what is wrong, and the help of the very command."""
    done = ctl(*line.split())
    assert (2, "") == (done.status, done.out)
    assert f"sessionctl: {sentence}\n  `{where} --help` shows what it takes\n" == done.err


def test_an_ended_session_ends_no_more(ctl: Ctl, canned: Canned) -> None:
    """When it would have ended is of no use any more; programs get it all the same."""
    later = (datetime.now(UTC) + timedelta(hours=1)).isoformat()
    canned.sessions["lost"]["ends_by"] = later
    assert "ends by" not in ctl("show", "lost").out
    assert later in ctl("show", "lost", "--json").out


def test_ls_leaves_out_what_nobody_has(ctl: Ctl, canned: Canned) -> None:
    """On a terminal; in a pipe the columns are always the same."""
    for name in [one for one in canned.sessions if one != "lost"]:
        del canned.sessions[name]
    shown = STEERING.sub("", ctl.shown("ls", "--all").out).splitlines()
    assert (2, ["NAME", "SERVICE", "WHERE", "STATE", "SINCE"]) == (len(shown), shown[0].split())
    assert ["NAME", "SERVICE", "WHERE", "STATE", "SINCE", "LEFT", "URL"] == ctl("ls", "--all").out.split()[:7]
