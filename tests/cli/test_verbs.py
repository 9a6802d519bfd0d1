"""The verbs: their exit statuses, their JSON, and what they ask of the daemon."""

from __future__ import annotations

import json
import subprocess

import pytest

from sessiond import __version__
from sessiond.api.wire import EXIT_STATUS
from sessiond.cli.main import VERBS
from tests.cli.canned_daemon import Canned
from tests.cli.canned_data import SERVICES, TOKEN
from tests.cli.conftest import ROOT, SESSIONCTL, Ctl

ERRORS = {code: status for code, status in EXIT_STATUS.items() if code != "no-daemon"} | {"something-new": 1}


@pytest.mark.parametrize(("code", "status"), ERRORS.items())
def test_errors_have_their_exit_status(ctl: Ctl, canned: Canned, code: str, status: int) -> None:
    """Every code of the API becomes its exit status, one sentence and a hint."""
    done = ctl("show", f"error-{code}")
    assert (status, "", f"sessionctl: This is {code}.\n  Do otherwise.\n") == (done.status, done.out, done.err)


@pytest.mark.parametrize(("code", "status"), ERRORS.items())
def test_errors_as_json(ctl: Ctl, canned: Canned, code: str, status: int) -> None:
    """With --json an error is an object on standard output, and nothing is on standard error."""
    done = ctl("show", "--json", f"error-{code}")
    expected = {"error": {"code": code, "message": f"This is {code}.", "hint": "Do otherwise."}}
    assert (status, expected, "") == (done.status, json.loads(done.out), done.err)


def test_not_found(ctl: Ctl, canned: Canned) -> None:
    """A name nobody has exits 3, and so do names that a URL would swallow."""
    assert [ctl("show", name).status for name in ("nobody", "", "..")] == [3, 3, 3]


@pytest.mark.parametrize(
    ("args", "words"),
    [
        (("lss",), "there is no command 'lss'; did you mean 'ls'?"),
        (("ls", "--jsn"), "Did you mean '--json'?"),
        (("start",), "missing argument 'SERVICE_OR_WORKFLOW'"),
        (("start", "quick", "--set", "theme"), "--set takes KEY=VALUE, not 'theme'"),
        (("start", "quick", "--mode", "lsf"), "'lsf' is not one of"),
        (("wait", "jl", "--timeout", "soon"), "'soon' is not a duration"),
        (("stop",), "name the sessions to stop, or say --all"),
        (("stop", "jl", "--all"), "name the sessions to stop, or say --all"),
        (("logs", "jl", "-n", "-1"), "-1 is not in the range"),
        (("why", "jl", "--force"), "--force is for --bundle FILE"),
        (("why", "jl", "--bundle", "", "--force"), "--bundle needs a file's name"),
    ],
)
def test_usage_errors(ctl: Ctl, canned: Canned, args: tuple[str, ...], words: str) -> None:
    """What cannot be meant exits 2 with one sentence that names it, and changes nothing."""
    done = ctl(*args)
    assert (done.status, done.out, words in done.err) == (2, "", True)
    assert done.err.startswith("sessionctl: ")
    assert [asked for asked in canned.requests if asked[0] != "GET"] == []


@pytest.mark.parametrize("name", ["garbled", "cut"])
def test_broken_answers(ctl: Ctl, canned: Canned, name: str) -> None:
    """What does not speak as the daemon does gets a sentence, not a traceback."""
    done = ctl("show", name)
    assert ({"garbled": 1, "cut": 5}[name], 2) == (done.status, len(done.err.splitlines()))


def test_ls_json(ctl: Ctl, canned: Canned) -> None:
    """`ls --json` is the daemon's list, `--all` with the ended ones."""
    some, everything = ctl("ls", "--json"), ctl("ls", "--all", "--json")
    assert [one for one in canned.sessions.values() if one["state"] != "ended"] == json.loads(some.out)
    assert list(canned.sessions.values()) == json.loads(everything.out)


def test_show_of_a_process(ctl: Ctl, canned: Canned) -> None:
    """A job that is a process has its number alone; how a running session is called is said once."""
    canned.sessions["jl"].update(job_id="4711:123456:0f3a-boot", phrase="running", state="running")
    shown = ctl("show", "jl").out
    assert "job       process 4711 running" in shown
    assert "running [running]" not in shown


def test_ls_of_ended_ones_alone(ctl: Ctl, canned: Canned) -> None:
    """Whoever stopped the last session is not told that there are none."""
    canned.sessions = {"lost": canned.sessions["lost"]}
    assert "No session is alive; `sessionctl ls --all` shows 1 that ended.\n" == ctl("ls").err


def test_plan_leaves_out_what_all_sessions_have(ctl: Ctl, canned: Canned) -> None:
    """The files that every session is given are named, and printed with --all."""
    short, whole = ctl("plan", "jupyterlab-host").out, ctl("plan", "jupyterlab-host", "--all").out
    assert "(--all prints it): lib/watch.sh, run.sh" in short
    assert [False, True] == ["trap sessiond_publish EXIT" in text for text in (short, whole)]
    assert "==> session.sh <==" in short


def test_a_session_in_the_place_of_a_service(ctl: Ctl, canned: Canned) -> None:
    """`start NAME --again` is what one types who wants a session once more."""
    done = ctl("start", "jl", "--again")
    form = canned.sessions["jl"]["workflow"]
    assert (3, True) == (done.status, f"jl is a session: `sessionctl start {form} --again`" in done.err), done.err


def test_json_of_one(ctl: Ctl, canned: Canned) -> None:
    """`show`, `why`, `services` and `status` have their JSON, too."""
    assert canned.sessions["jl"] == json.loads(ctl("show", "jl", "--json").out)
    assert canned.sessions["jl"] == json.loads(ctl("why", "jl", "--json").out)["session"]
    assert json.loads(ctl("services", "--json").out) == SERVICES
    assert json.loads(ctl("status", "--json").out)["pid"] == 4711


def test_no_sessions(ctl: Ctl, canned: Canned) -> None:
    """An empty list says how to begin, on standard error."""
    canned.sessions.clear()
    done = ctl("ls")
    assert (done.status, done.out, "sessionctl start SERVICE" in done.err) == (0, "", True)


def test_url(ctl: Ctl, canned: Canned) -> None:
    """A URL is printed alone; a session without one is asked for again, an ended one is refused."""
    assert f"http://127.0.0.1:8700/me/50001/lab?token={TOKEN}\n" == ctl("url", "jl").out
    assert [ctl("url", name).status for name in ("simulation", "lost")] == [75, 6]


def test_open_without_a_browser(ctl: Ctl, canned: Canned) -> None:
    """Where no browser can be opened the URL is printed."""
    done = ctl("open", "jl")
    assert (0, f"http://127.0.0.1:8700/me/50001/lab?token={TOKEN}\n", 1) == (
        done.status,
        done.out,
        len(done.err.splitlines()),
    )


def test_open_in_a_browser(ctl: Ctl, canned: Canned) -> None:
    """$BROWSER is given the URL."""
    browser = ctl.home / "browser"
    browser.write_text(f'#!/bin/sh\nprintf %s "$1" > {ctl.home}/opened\n')
    browser.chmod(0o700)
    done = ctl("open", "jl", BROWSER=str(browser))
    assert (done.status, done.out) == (0, "")
    assert f"http://127.0.0.1:8700/me/50001/lab?token={TOKEN}" == (ctl.home / "opened").read_text()


def test_dashboard_without_a_browser(ctl: Ctl, canned: Canned) -> None:
    """Where no browser can be opened the link is printed."""
    done = ctl("dashboard")
    assert (0, "http://127.0.0.1:8701/#key=once\n", 1) == (done.status, done.out, len(done.err.splitlines()))


def test_dashboard_in_a_browser(ctl: Ctl, canned: Canned) -> None:
    """$BROWSER is given the link; with --print it is printed instead, with --json with how long it is good."""
    browser = ctl.home / "browser"
    browser.write_text(f'#!/bin/sh\nprintf %s "$1" > {ctl.home}/opened\n')
    browser.chmod(0o700)
    done = ctl("dashboard", "--print", BROWSER=str(browser))
    assert (0, "http://127.0.0.1:8701/#key=once\n", "") == (done.status, done.out, done.err)
    assert 120.0 == json.loads(ctl("dashboard", "--json", BROWSER=str(browser)).out)["expires_in_s"]
    assert not (ctl.home / "opened").exists()
    done = ctl("dashboard", BROWSER=str(browser))
    assert (done.status, done.out) == (0, "")
    assert "http://127.0.0.1:8701/#key=once" == (ctl.home / "opened").read_text()


def test_start_sends_what_was_typed(ctl: Ctl, canned: Canned) -> None:
    """The request holds exactly the options given, a value's `=` signs included; --json prints the session."""
    options = ("--name", "n", "--set", "a=1=2", "--set", "b=", "--time", "02:00:00", "--directive", "-x", "--json")
    done = ctl("start", "quick", "--on", "local", "--mode", "local", *options)
    wanted = {
        "service": "quick",
        "cluster": "local",
        "mode": "local",
        "name": "n",
        "set": {"a": "1=2", "b": ""},
        "time": "02:00:00",
        "directives": ["-x"],
    }
    assert [("POST", "/v1/sessions", wanted)] == [asked for asked in canned.requests if asked[0] == "POST"]
    assert (done.status, json.loads(done.out)["state"]) == (0, "running")


def test_start_that_ends_as_json(ctl: Ctl, canned: Canned) -> None:
    """A session that ends before it runs is an error with its cause."""
    done = ctl("start", "doomed", "--json")
    error = json.loads(done.out)["error"]
    assert (
        done.status,
        error["code"],
        error["message"],
        error["hint"],
    ) == (1, "failed", "doomed ended before it ran (failed): Its port was taken.", "Try again.")


@pytest.mark.parametrize(
    ("args", "status"),
    [
        (("jl",), 0),
        (("jl", "--for", "tunnel"), 0),
        (("lost",), 1),
        (("lost", "--for", "ended"), 1),
        (("jl", "lost"), 1),
        (("jl", "--for", "ended", "--timeout", "0.2"), 75),
        (("simulation", "--timeout", "0.2s"), 75),
        (("nobody",), 3),
    ],
)
def test_wait(ctl: Ctl, canned: Canned, args: tuple[str, ...], status: int) -> None:
    """0 when it got there, 1 when it ended otherwise, 75 when the time was up."""
    assert status == ctl("wait", *args).status


def test_a_bad_end_is_told_once(ctl: Ctl, canned: Canned) -> None:
    """In a pipe, where each change has a line, too."""
    done = ctl("wait", "lost")
    assert (done.out, done.err.count("lost: ")) == ("", 1), done.err


def test_wait_for_a_good_end(ctl: Ctl, canned: Canned) -> None:
    """A completed session is fine for the default; a cancelled one only for who waits for the end."""
    canned.sessions["lost"].update(outcome="completed")
    completed = ctl("wait", "lost").status
    canned.sessions["lost"].update(outcome="cancelled")
    assert (completed, ctl("wait", "lost").status, ctl("wait", "lost", "--for", "ended").status) == (0, 1, 0)


def test_stop(ctl: Ctl, canned: Canned) -> None:
    """Stopping waits for the end; --now and --no-wait are what they say."""
    done = ctl("stop", "jl")
    assert (done.status, done.out, done.err) == (0, "jl: stopped\n", "jl: being stopped\n")
    done = ctl("stop", "simulation", "--now", "--no-wait")
    assert (done.status, done.out, done.err) == (0, "simulation-of-the-north-sea: being stopped\n", "")
    assert [body["force"] for method, _, body in canned.requests if method == "POST"] == [False, True]


def test_stop_some_that_are_not_there(ctl: Ctl, canned: Canned) -> None:
    """One bad name does not keep the others from being stopped, and decides the status."""
    done = ctl("stop", "nobody", "jl")
    assert (done.status, canned.sessions["jl"]["state"]) == (3, "ended")


def test_stop_all(ctl: Ctl, canned: Canned) -> None:
    """--all stops every session that has not ended, and with none says so."""
    assert ((done := ctl("stop", "--all")).status, len(done.out.splitlines())) == (0, 3)
    again = ctl("stop", "--all")
    assert (again.status, again.out, again.err) == (0, "", "Nothing to stop.\n")


def test_rm(ctl: Ctl, canned: Canned) -> None:
    """Ended sessions are forgotten; a live one is refused with 6, the others go all the same."""
    done = ctl("rm", "jl", "lost")
    assert (done.status, done.err) == (6, "sessionctl: jl has not ended.\n  sessionctl stop jl\n")
    assert "lost" not in canned.sessions


def test_services_that_are_not_there(ctl: Ctl, canned: Canned) -> None:
    """A misspelt service is answered with what there is."""
    done = ctl("services", "jupyter-host")
    assert (done.status, "Services: jupyterlab-host, broken." in done.err) == (3, True)


@pytest.mark.parametrize(
    ("options", "out"),
    [
        ((), "one\ntwo\nthree\n"),
        (("-n", "2"), "two\nthree\n"),
        (("-n", "0"), ""),
        (("-n", "99"), "one\ntwo\nthree\n"),
        (("-f",), "one\ntwo\nthree\nfour\n"),
        (("-f", "-n", "1"), "three\nfour\n"),
        (("-f", "-n", "0"), "four\n"),
    ],
)
def test_logs(ctl: Ctl, canned: Canned, options: tuple[str, ...], out: str) -> None:
    """All of it, the last lines, and what is still to come."""
    assert out == ctl("logs", "jl", *options).out


def test_logs_without_a_last_newline(ctl: Ctl, canned: Canned) -> None:
    """A line that has not ended yet counts as one."""
    canned.log = b"one\ntwo\nthr"
    assert ctl("logs", "jl", "-n", "2").out == "two\nthr"


def test_logs_are_harmless_on_a_terminal(ctl: Ctl, canned: Canned) -> None:
    """Colours pass; titles, cursor movements and C1 controls do not. A pipe gets the bytes."""
    canned.log = b"\x1b[3\x1b[31mred\x1b]0;t\x07\x1b[2J \xc2\x9b2J \xff\tok\n"
    shown = ctl.shown("logs", "jl").out
    assert shown == "\\x1b[3\x1b[31mred\\x1b]0;t\\x07\\x1b[2J \\x9b2J \ufffd\tok\n\x1b[0m"
    assert canned.log == ctl("logs", "jl").out.encode(errors="surrogateescape")


def test_logs_to_a_reader_who_has_enough(ctl: Ctl, canned: Canned) -> None:
    """`logs | head -1` is no error."""
    canned.log = b"line\n" * 500_000
    with subprocess.Popen(
        (*SESSIONCTL, "logs", "jl"), stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=ctl.env, cwd=ROOT
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        assert process.stdout.read(5) == b"line\n"
        process.stdout.close()
        assert (process.stderr.read(), process.wait(30)) == (b"", 0)


def test_version(ctl: Ctl, canned: Canned) -> None:
    """Both versions."""
    assert f"sessionctl {__version__}\nsessiond {__version__}\n" == ctl("version").out


def test_doctor(ctl: Ctl, canned: Canned) -> None:
    """Everything is checked; what is open to others is wrong, with its remedy."""
    ctl.home.chmod(0o755)
    ctl.socket.chmod(0o666)
    done = ctl("doctor", "--json")
    found = json.loads(done.out)
    wrong = [one["remedy"] for one in found if one["state"] == "wrong"]
    assert (1, [f"chmod 700 {ctl.home}", f"chmod 600 {ctl.socket}"]) == (done.status, wrong)
    assert {"daemon", "socket", "state", "config", "systemd", "browser"} <= {one["check"] for one in found}


def test_doctor_without_a_daemon(ctl: Ctl) -> None:
    """It works without the daemon, does not start it, and reads the configuration as one would."""
    config = ctl.home / "config.toml"
    config.write_text("[daemon\n")
    done = ctl("doctor", SESSIOND_CONFIG=str(config))
    assert (done.status, ctl.state.exists()) == (1, False)
    assert "sessiond is not running" in done.out
    assert "config.toml:1: not valid TOML at column 8" in done.out
    config.write_text("[daemon]\nportz = 1\n[clusters.frontier]\n")
    checked = json.loads(ctl("doctor", "--json", SESSIOND_CONFIG=str(config)).out)
    found = [one for one in checked if one["check"] == "config"]
    assert ["wrong", "wrong"] == [one["state"] for one in found]
    assert ["config.toml:2 daemon.portz", "config.toml:3 clusters.frontier.host"] == [
        one["text"].partition(": ")[0] for one in found
    ]
    assert ["", True] == [found[0]["remedy"], f"correct it in {config}" in found[1]["remedy"]]
    config.unlink()
    assert f"no {config}: this machine only" in ctl("doctor", SESSIOND_CONFIG=str(config)).out


def test_help_of_every_verb(ctl: Ctl) -> None:
    """Every verb explains itself without a daemon."""
    assert dict.fromkeys(VERBS, 0) == {verb: ctl(verb, "--help").status for verb in VERBS}


def test_ls_fresh(ctl: Ctl, canned: Canned) -> None:
    """`ls --fresh` has the daemon look first; without it nobody is asked."""
    assert [0, 0, 0] == [ctl("ls", *more).status for more in ((), ("--fresh",), ("--fresh", "--all"))]
    paths = [path for _, path, _ in canned.requests]
    assert ["/v1/sessions", "/v1/sessions?fresh=1", "/v1/sessions?all=1&fresh=1"] == paths


def test_doctor_of_a_cluster(ctl: Ctl, canned: Canned) -> None:
    """The daemon's findings as JSON in the words of all others; status 1 where one is bad, 3 where there is no such."""
    done = ctl("doctor", "frontier", "--json")
    assert (1, "") == (done.status, done.err)
    assert ["ok", "warning", "wrong"] == [one["state"] for one in json.loads(done.out)]
    assert 3 == ctl("doctor", "mars").status


def test_doctor_says_how_it_stands_with_every_cluster(ctl: Ctl, canned: Canned) -> None:
    """A line each, with what to do where something is to be done."""
    done = ctl("doctor", "--json")
    found = [(one["state"], one["text"], one["remedy"]) for one in json.loads(done.out) if one["check"] == "cluster"]
    assert [
        (
            "ok",
            "cluster frontier: connected (frontier-login.example.org)",
            "`sessionctl doctor frontier` checks all of it",
        )
    ] == found[:1]
    assert ["ok", "warning", "warning"] == [state for state, _, _ in found]
    assert "sessionctl login alps" in found[2][2]


def test_extend(ctl: Ctl, canned: Canned) -> None:
    """What was typed is what is asked for."""
    assert 0 == ctl("extend", "jl", "+01:30:00", "--json").status
    assert ("POST", "/v1/sessions/jl/extend", {"by": "+01:30:00"}) == canned.requests[-1]


def test_licences_that_do_not_reach_a_session(ctl: Ctl, canned: Canned) -> None:
    """`show` says what is done about licences, and both it and `why` what is wrong with them and what to do."""
    text = "MLM_LICENSE_FILE=27010@localhost: port 27010 of its node leads to the workspace"
    problem = {"code": "licences", "message": "licences do not reach n1: no answer", "hint": "allow ssh"}
    one = canned.sessions["jl"]
    one["licence"] = {
        "text": text,
        "variable": "MLM_LICENSE_FILE",
        "value": "27010@localhost",
        "ports": [27010],
        "host": None,
        "open": True,
        "problem": None,
    }
    assert f"licences  {text} [open]\n" in ctl("show", "jl").out
    assert "Problem" not in ctl("why", "jl").out
    one["licence"] |= {"open": False, "problem": problem}
    shown = ctl("show", "jl").out
    assert f"licences  {text}\n" in shown
    assert "problem   licences do not reach n1: no answer\nhint      allow ssh\n" in shown
    assert "Problem: licences do not reach n1: no answer\n  allow ssh\n" in ctl("why", "jl").out
