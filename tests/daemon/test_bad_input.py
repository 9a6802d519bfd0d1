"""Bad input: the right exit status, one clear sentence and a hint on stderr, and nothing changed."""

from __future__ import annotations

import json
import os
import signal
import subprocess
from pathlib import Path

import pytest

from sessiond.client import ClientError

from . import traces
from .workspace import Done, Workspace, error_of

THREE_ERRORS = """[daemon]
gateway = "127.0.0.1:0"
portz = "1-2"
[idle]
after = "soon"
[clusters.frontier]
host = "frontier-login"
poll = 15
"""


def said(done: Done) -> tuple[str, str]:
    """The sentence and the hint of a refusal, as people see them."""
    assert "Traceback" not in done.err
    sentence, hint, *more = done.err.splitlines()
    assert [] == more, done.err
    return sentence, hint.strip()


def unchanged(workspace: Workspace) -> None:
    """No session, no folder of one, no port taken."""
    assert [] == workspace.client.sessions(all=True)
    assert [] == workspace.jobdirs()
    assert [] == sorted(traces.listening() & set(workspace.ports))
    assert [] == list((workspace.state / "sessions").glob("*"))


@pytest.mark.parametrize(
    ("args", "status", "sentence", "hint"),
    [
        (("tinny",), 3, "there is no service tinny", "tiny"),
        (("tiny", "--set", "COLOUR"), 2, "COLOUR", "KEY=VALUE"),
        (("tiny", "--set", "1COLOUR=red"), 2, "1COLOUR", "letters"),
        (("tiny", "--set", "PATH=/tmp"), 2, "PATH", "another name"),
        (("strict", "--set", "service_color=red"), 2, "service_color", "service_colour"),
        (("strict", "--set", "service_colour=green"), 2, "green", "red"),
        (("strict", "--set", "service_size=10"), 2, "10", "9"),
        (("template-less",), 6, "template-less/start-template.sh is missing", "template-less"),
        (("tiny", "--time", "soon"), 2, '"soon"', "minutes"),
        (("tiny", "--time", "00:00:00"), 2, '"00:00:00"', "minutes"),
        (("tiny", "--name", "Not A Name"), 2, '"Not A Name"', "small letters"),
        (("tiny", "--name", "-x"), 2, '"-x"', "small letters"),
        (("tiny", "--mode", "slurm"), 2, "slurm", "mode"),
        (("tiny", "--mode", "cloud"), 2, "cloud", "local"),
        (("tiny", "--on", "frontier"), 3, "there is no cluster frontier", "local"),
        (("tiny", "--directive", "--gres=gpu:1"), 2, "--directive", "--time"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else "",
)
def test_a_start_that_cannot_be(
    shared: Workspace, args: tuple[str, ...], status: int, sentence: str, hint: str
) -> None:
    """Refused in people's words and in JSON, by `start` and by `plan`, with nothing begun."""
    plain = shared.ctl("start", *args)
    assert status == plain.status, plain
    assert "" == plain.out
    first, second = said(plain)
    assert sentence in first
    assert hint in f"{first} {second}"
    assert second
    as_json = shared.ctl("start", *args, "--json")
    assert (status, "") == (as_json.status, as_json.err)
    assert sentence in error_of(as_json)["message"]
    assert status == shared.ctl("plan", *args).status
    unchanged(shared)


def test_a_name_that_is_taken(workspace: Workspace) -> None:
    """Two sessions cannot have one name; the first is undisturbed, and the name is free after its end."""
    workspace.daemon()
    first = workspace.start("tiny", name="mine")
    refused = workspace.ctl("start", "tiny", "--name", "mine")
    assert 6 == refused.status
    sentence, hint = said(refused)
    assert "there is already a session called mine" in sentence
    assert "--name" in hint
    assert [first["id"]] == [one["id"] for one in workspace.client.sessions(all=True)]
    workspace.stop("mine")
    assert first["id"] != workspace.start("tiny", name="mine")["id"]


def test_no_port_is_left(workspace: Workspace) -> None:
    """A range of two ports: the third session is refused (6), and its port is there again after a stop."""
    workspace.configure(ports=workspace.ports[:2])
    workspace.daemon()
    first, second = workspace.start("tiny"), workspace.start("tiny")
    refused = workspace.ctl("start", "tiny")
    assert 6 == refused.status
    sentence, hint = said(refused)
    assert f"{workspace.ports[0]}" in sentence
    assert hint
    assert sorted([first["id"], second["id"]]) == sorted(one["id"] for one in workspace.client.sessions(all=True))
    workspace.stop(first["id"])
    assert first["open_port"] == workspace.start("tiny")["open_port"]


def test_three_errors_in_the_configuration(workspace: Workspace) -> None:
    """All three at once with their lines: a new daemon exits with 2, a running one keeps what it had."""
    running = workspace.daemon()
    good = workspace.config.read_text()
    workspace.config.write_text(THREE_ERRORS)
    reload = workspace.ctl("reload")
    assert 6 == reload.status
    expected = ["config.toml:3 daemon.portz", "config.toml:5 idle.after", "config.toml:8 clusters.frontier.poll"]
    for where in expected:
        assert where in reload.err
    assert ["127.0.0.1"] == [(workspace.client.status()["gateway"] or "").partition(":")[0]]
    assert running.pid == workspace.client.status()["pid"]
    assert workspace.start("tiny")["open_port"] in workspace.ports
    workspace.config.write_text(good)
    assert 0 == workspace.ctl("reload").status
    workspace.config.write_text(THREE_ERRORS)
    refused = workspace.run_daemon(
        SESSIOND_STATE_DIR=str(workspace.root / "other"), SESSIOND_SOCKET=str(workspace.root / "other.sock")
    )
    assert 2 == refused.status
    lines = refused.err.splitlines()
    assert 4 == len(lines), refused.err
    assert expected == [" ".join(line.removeprefix("sessiond: ").split()[:2]).rstrip(":") for line in lines[:3]]
    assert "  Correct the file; the next command starts sessiond." == lines[3]
    assert not (workspace.root / "other").exists()


def test_wrong_defaults_of_a_cluster(workspace: Workspace) -> None:
    """Whoever is refused for them is told that they are there, and not that an option is wrong that nobody gave."""
    workspace.configure(
        "[clusters.frontier]", 'host = "frontier"', "[clusters.frontier.defaults]", 'nodes = "two"', 'time = "soon"'
    )
    workspace.daemon()
    done = workspace.ctl("start", "tiny", "--on", "frontier")
    assert 2 == done.status
    assert (
        'sessionctl: nodes: expected a number from 1 on, got "two" (from the cluster\'s defaults in config.toml)\n'
        '  time: expected HH:MM:SS, such as "02:00:00", got "soon" (from the cluster\'s defaults in config.toml)\n'
    ) in done.err
    given = workspace.ctl("start", "tiny", "--on", "frontier", "--time", "later", "--set", "nodes=many")
    assert 2 == given.status
    assert 'sessionctl: nodes: expected a number from 1 on, got "many"\n  --time: expected' in given.err
    assert "defaults" not in given.err


def test_what_waits_for_a_restart_is_said_until_then(workspace: Workspace) -> None:
    """However often the configuration is read again; and no longer, once it is as the daemon has it."""
    workspace.daemon()
    good = workspace.config.read_text()
    workspace.config.write_text(good.replace(workspace.gateway, "127.0.0.1:8701"))
    change = f"daemon.gateway: {workspace.gateway} -> 127.0.0.1:8701"
    for _ in range(2):
        assert f"needs a restart of sessiond: {change}\n" == workspace.ctl("reload").out
        assert [f"{change} takes effect when sessiond is restarted"] == workspace.client.status()["warnings"]
    workspace.config.write_text(good)
    assert 0 == workspace.ctl("reload").status
    assert [] == workspace.client.status()["warnings"]


def test_sessionctl_tells_why_the_daemon_does_not_start(workspace: Workspace) -> None:
    """With a bad configuration and no daemon every command says all problems, status 5, and starts nothing."""
    workspace.config.write_text(THREE_ERRORS)
    done = workspace.ctl("ls")
    assert 5 == done.status
    assert 3 == done.err.count("config.toml:")
    assert "sessionctl reload" not in done.err
    assert "Correct the file; the next command starts sessiond." in done.err
    checked = workspace.ctl("doctor")
    assert (1, 3) == (checked.status, checked.out.count("wrong    config   config.toml:"))
    assert checked.out.count("correct it") == 1
    assert "Traceback" not in done.err
    assert [] == traces.marked(workspace.mark)


def test_a_folder_without_its_template_is_listed(workspace: Workspace) -> None:
    """`services` shows the folder with what is wrong; once it is put right it starts, without a reload."""
    workspace.daemon()
    listed = {one["name"]: one for one in json.loads(workspace.ctl("services", "--json").out)}
    assert ["template-less/start-template.sh is missing: it is the script that starts the service"] == listed[
        "template-less"
    ]["problems"]
    assert "start-template.sh is missing" in workspace.ctl("services").out
    template = (workspace.services / "tiny" / "start-template.sh").read_text()
    (workspace.services / "template-less" / "start-template.sh").write_text(template)
    assert "running" == workspace.start("template-less")["state"]


def test_a_socket_path_that_is_too_long(workspace: Workspace) -> None:
    """Daemon (1) and sessionctl (5) say how long it is and what is allowed; nothing is made."""
    path = workspace.root / ("x" * 100) / "api.sock"
    daemon = workspace.run_daemon(SESSIOND_SOCKET=str(path))
    assert 1 == daemon.status
    sentence, hint = said(daemon)
    assert "too long" in sentence
    assert f"{len(str(path))} bytes" in sentence
    assert "107" in sentence
    assert "SESSIOND_SOCKET" in hint
    control = workspace.ctl("ls", SESSIOND_SOCKET=str(path))
    assert 5 == control.status
    sentence, hint = said(control)
    assert "107" in sentence
    assert "SESSIOND_SOCKET" in hint
    assert not path.parent.exists()
    assert not workspace.state.exists()


def read_only(folder: Path) -> tuple[str, ...]:
    """What becomes a program that sees ``folder`` read-only: for root a real read-only mount of its own."""
    if os.geteuid() != 0:
        folder.chmod(0o500)
        return ()
    if subprocess.run(["unshare", "--mount", "true"], check=False, capture_output=True).returncode:
        pytest.skip("this machine does not allow new mount namespaces")
    words = 'mount --bind "$1" "$1" && mount -o remount,bind,ro "$1" && shift && exec "$@"'
    return ("unshare", "--mount", "sh", "-c", words, "sh", str(folder))


@pytest.mark.parametrize("existing", [False, True], ids=["new", "used before"])
def test_a_state_folder_that_cannot_be_written(workspace: Workspace, existing: bool) -> None:
    """Daemon (1) and sessionctl (5) name the folder; no socket is left, and what was in it is as it was."""
    workspace.state.mkdir(mode=0o700)
    if existing:
        daemon = workspace.daemon()
        daemon.signal(signal.SIGTERM)
        daemon.ended()
    before = {path.name: path.read_bytes() for path in workspace.state.iterdir() if path.is_file()}
    become = read_only(workspace.state)
    refused = workspace.run_daemon(*become)
    assert 1 == refused.status
    sentence, hint = said(refused)
    assert f"the state folder {workspace.state} cannot be written to" in sentence
    assert "SESSIOND_STATE_DIR" in hint
    control = workspace.run(*become, *workspace.ctl_argv("ls"))
    assert 5 == control.status
    sentence, hint = said(control)
    assert str(workspace.state) in sentence
    assert "SESSIOND_STATE_DIR" in hint
    assert not workspace.socket.exists()
    workspace.state.chmod(0o700)
    assert before == {path.name: path.read_bytes() for path in workspace.state.iterdir() if path.is_file()}


def test_names_that_nobody_has(shared: Workspace) -> None:
    """Every verb that takes a name: status 3, the name, and a hint."""
    for verb in ("show", "url", "why", "wait", "logs", "stop", "rm"):
        done = shared.ctl(verb, "nobody")
        assert 3 == done.status, verb
        sentence, hint = said(done)
        assert "nobody" in sentence
        assert hint


def test_what_no_client_of_ours_sends(shared: Workspace) -> None:
    """Bodies of other shapes are refused with what is wrong, and nothing begins."""
    for request in ({}, {"service": 7}, {"service": "tiny", "set": ["a"]}, {"service": "tiny", "more": 1}):
        with pytest.raises(ClientError) as caught:
            shared.client.start(request)  # type: ignore[arg-type] # that is what is tried
        assert "bad-request" == caught.value.code
    unchanged(shared)


def test_a_plan_changes_nothing(shared: Workspace) -> None:
    """`plan` of services with and without a url.sh: every file, the command, the ports, and no session."""
    for service in ("tiny", "brief"):
        plan = shared.ctl("plan", service, "--json")
        assert 0 == plan.status, plan
        told = json.loads(plan.out)
        assert service == told["service"]
        assert "session.sh" in told["files"]
        assert told["url"].startswith("http://127.0.0.1:")
    unchanged(shared)
