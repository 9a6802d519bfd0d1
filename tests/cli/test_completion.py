"""The Tab key: scripts for three shells, names from the daemon, and silence without one."""

from __future__ import annotations

import shutil
import subprocess
import sys

import pytest

from tests.cli import canned_daemon
from tests.cli.canned_daemon import Canned
from tests.cli.canned_data import CLUSTERS, workflows
from tests.cli.conftest import Ctl, Terminal


def complete(ctl: Ctl, shell: str, line: str) -> list[str]:
    """What ``shell`` is told for the last word of ``line``."""
    words = line.split(" ")
    word = str(len(words) - 1) if shell != "fish" else words[-1]
    done = ctl(_SESSIONCTL_COMPLETE=f"{shell}_complete", COMP_WORDS=line, COMP_CWORD=word)
    assert (done.status, done.err) == (0, "")
    return [line for line in done.out.splitlines() if line]


def test_verbs(ctl: Ctl) -> None:
    """Verbs need no daemon."""
    assert sorted(complete(ctl, "bash", "sessionctl st")) == ["plain,start", "plain,status", "plain,stop"]


def test_sessions(ctl: Ctl, canned: Canned) -> None:
    """Sessions by name: all, or only those the verb can do something to; never a name that could break the shell."""
    assert complete(ctl, "bash", "sessionctl why ") == ["plain,jl", "plain,simulation-of-the-north-sea", "plain,lost"]
    assert complete(ctl, "bash", "sessionctl stop ") == ["plain,jl", "plain,simulation-of-the-north-sea"]
    assert complete(ctl, "bash", "sessionctl stop jl ") == ["plain,simulation-of-the-north-sea"]
    assert complete(ctl, "bash", "sessionctl rm ") == ["plain,lost"]
    assert complete(ctl, "bash", "sessionctl why lo") == ["plain,lost"]


def test_services_and_clusters(ctl: Ctl, canned: Canned) -> None:
    """Services that can be started, the places, and the choices of an option."""
    startable = ["plain,jupyterlab-host", "plain,jupyterlab-host/general"]
    assert complete(ctl, "bash", "sessionctl start ") == startable
    places = [f"plain,{one['name']}" for one in CLUSTERS]
    assert complete(ctl, "bash", "sessionctl start --on ") == places
    assert complete(ctl, "bash", "sessionctl doctor ") == places
    assert complete(ctl, "bash", "sessionctl start --mode s") == ["plain,slurm"]


@pytest.mark.parametrize("verb", ["url", "open", "ssh", "proxy", "extend", "wait"])
def test_only_what_lives(ctl: Ctl, canned: Canned, verb: str) -> None:
    """Of a session that is over, these verbs have nothing."""
    assert complete(ctl, "bash", f"sessionctl {verb} ") == ["plain,jl", "plain,simulation-of-the-north-sea"]


@pytest.mark.parametrize("verb", ["show", "why", "logs"])
def test_what_is_over_too(ctl: Ctl, canned: Canned, verb: str) -> None:
    """These tell of it."""
    assert complete(ctl, "bash", f"sessionctl {verb} l") == ["plain,lost"]


def test_links_and_states(ctl: Ctl, canned: Canned) -> None:
    """Nobody logs in to this machine; the states to wait for are known; what is unknown to shells is left to them."""
    far = [f"plain,{one['name']}" for one in CLUSTERS if one["name"] != "local"]
    for verb in ("login", "logout"):
        assert complete(ctl, "bash", f"sessionctl {verb} ") == far
    assert complete(ctl, "bash", "sessionctl wait jl --for r") == ["plain,render", "plain,running", "plain,reconcile"]
    assert complete(ctl, "bash", "sessionctl completion z") == ["plain,zsh"]
    assert complete(ctl, "bash", "sessionctl workflow ch") == ["plain,check"]
    assert complete(ctl, "fish", "sessionctl login summit") == [
        "plain,summit\tunreachable for 3 min: no answer within 20 s"
    ]


def test_descriptions(ctl: Ctl, canned: Canned) -> None:
    """zsh and fish are told what a session does, too."""
    assert complete(ctl, "zsh", "sessionctl why lo") == ["plain", "lost", "failed: the service ended with status 1"]
    assert complete(ctl, "fish", "sessionctl why lo") == ["plain,lost\tfailed: the service ended with status 1"]


def test_no_daemon_is_started(ctl: Ctl) -> None:
    """Without a daemon there are no names, no words, and still no daemon."""
    assert complete(ctl, "bash", "sessionctl why ") == []
    assert not ctl.state.exists()


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_scripts(ctl: Ctl, shell: str) -> None:
    """A script is printed, and the shell itself can read it where it is there."""
    done = ctl("completion", shell)
    assert (done.status, f"_SESSIONCTL_COMPLETE={shell}_complete" in done.out) == (0, True)
    if program := shutil.which(shell):
        assert subprocess.run([program, "-n"], input=done.out.encode(), check=False).returncode == 0


KEYS = ["service.dir=", "service.theme=", "service.extras=", "service.password=", "service.conda=", "pwrl_host.cpus="]


@pytest.mark.parametrize("verb", ["start", "plan"])
def test_values(ctl: Ctl, canned: Canned, verb: str) -> None:
    """What the named form or service takes, but what is said already; behind the equals sign what it can be."""
    of_form = f"sessionctl {verb} --on local jupyterlab-host/general"
    assert complete(ctl, "bash", f"{of_form} --set ") == [f"plain,{key}" for key in KEYS]
    assert complete(ctl, "bash", f"{of_form} --set service.dir=/a --name x --set service.d") == []
    assert complete(ctl, "bash", f"{of_form} --set service.theme=d") == ["plain,dark"]
    assert complete(ctl, "fish", f"{of_form} --set service.conda=") == [
        "plain,service.conda=true",
        "plain,service.conda=false",
    ]
    assert complete(ctl, "zsh", f"{of_form} --set service.dir") == ["plain", "service.dir=", "Folder"]
    of_service = f"sessionctl {verb} --set theme=x jupyterlab-host"
    assert complete(ctl, "bash", f"{of_service} --set ") == ["plain,notebook_dir="]
    for unknown in (f"sessionctl {verb}", f"sessionctl {verb} nothing"):
        assert complete(ctl, "bash", f"{unknown} --set ") == []


def test_partitions(ctl: Ctl, canned: Canned, monkeypatch: pytest.MonkeyPatch) -> None:
    """Those of the cluster on the line, by either word or a form's own, with what they are; it is not made to wait."""
    line = "sessionctl start jupyterlab-host --on frontier --set"
    assert complete(ctl, "bash", f"{line} partition=") == [f"plain,{name}" for name in ("batch", "gpu", "old", "bare")]
    assert complete(ctl, "fish", f"{line} queue=b") == [
        "plain,queue=batch\tdefault, up to 1:00:00, 2 nodes",
        "plain,queue=bare",
    ]
    assert complete(ctl, "zsh", f"{line} partition=ba") == [
        *("plain", "partition=batch", "default, up to 1:00:00, 2 nodes"),
        *("plain", "partition=bare", "_"),
    ]
    assert {("GET", "/v1/clusters/frontier/partitions")} == {
        (method, path) for method, path, _ in canned.requests if "clusters" in path
    }
    assert complete(ctl, "bash", "sessionctl start jupyterlab-host --set x=1 --on=frontier --set queue=g") == [
        "plain,gpu"
    ]
    for nowhere in ("--on local", "--on summit", "--name x"):
        assert complete(ctl, "bash", f"sessionctl start jupyterlab-host {nowhere} --set partition=") == []
    fields = [*workflows(), {**workflows()[0], "name": "jupyterlab-host/own"}]
    fields[-1]["params"] = [{**workflows()[0]["params"][1], "name": "host.place", "asks": "partition"}]
    monkeypatch.setattr(canned_daemon, "workflows", lambda: fields)
    of_form = "sessionctl plan jupyterlab-host/own --on frontier --set"
    assert complete(ctl, "bash", f"{of_form} host.place=g") == ["plain,gpu"]
    assert complete(ctl, "bash", f"{of_form} ") == ["plain,host.place="]


@pytest.fixture
def shell_env(ctl: Ctl) -> dict[str, str]:
    """An environment in which sessionctl is a program, and nobody's own settings are read."""
    program = ctl.home / "bin" / "sessionctl"
    program.parent.mkdir()
    program.write_text(f"#!{sys.executable}\nfrom sessiond.cli.main import main\nmain()\n")
    program.chmod(0o700)
    return ctl.env | {"PATH": f"{program.parent}:{ctl.env['PATH']}", "TERM": "xterm", "PS1": "ready> "}


@pytest.mark.parametrize(
    ("shell", "init"),
    [
        (("bash", "--norc", "-i"), 'eval "$(sessionctl completion bash)"'),
        (("zsh", "-f", "-i"), 'autoload -U compinit; compinit -D; eval "$(sessionctl completion zsh)"'),
    ],
    ids=["bash", "zsh"],
)
def test_in_a_shell(ctl: Ctl, canned: Canned, shell_env: dict[str, str], shell: tuple[str, ...], init: str) -> None:
    """With the keys pressed in a real one: names, keys without a blank behind them, then their values with one."""
    program = shutil.which(shell[0])
    if program is None:
        pytest.skip(f"there is no {shell[0]} here")
    terminal = Terminal((program, *shell[1:]), shell_env, 200)
    try:
        terminal.until(b"ready> ")
        terminal.type(f"{init}; echo be'gun'\r".encode())
        terminal.until(rb"(?s)[\r\n]begun.*ready> ")
        terminal.type(b"sessionctl rm \t")
        terminal.until(rb"sessionctl rm .*lost")
        terminal.type(b"\x15sessionctl plan jupyterlab-host/g\t")
        terminal.until(rb"jupyterlab-host/general")
        terminal.type(b"--set service.th\t")
        terminal.until(rb"service\.theme=")
        terminal.type(b"d\t")
        terminal.until(rb"ark")
        terminal.type(b"--name x\r")
        terminal.until(rb"submit")
    finally:
        terminal.close()
    asked = [body for method, _, body in canned.requests if method == "POST"]
    assert [{"service": "jupyterlab-host/general", "set": {"service.theme": "dark"}, "name": "x"}] == asked


def test_in_fish(ctl: Ctl, canned: Canned, shell_env: dict[str, str]) -> None:
    """The script, run by a real fish, offers keys and values."""
    program = shutil.which("fish")
    if program is None:
        pytest.skip("there is no fish here")

    def offered(line: str) -> list[str]:
        script = f"sessionctl completion fish | source; complete -C'sessionctl {line}'"
        command = [program, "--no-config", "-c", script]
        done = subprocess.run(command, env=shell_env, cwd=ctl.home, capture_output=True, text=True, check=True)
        return [found.partition("\t")[0] for found in done.stdout.splitlines()]

    assert (["jl", "simulation-of-the-north-sea"], ["lost"]) == (offered("stop "), offered("rm "))
    assert ["frontier", "summit"] == [name for name in offered("login ") if not name.startswith("alps")]
    form = "start jupyterlab-host/general --set"
    assert (["service.dir="], ["service.theme=dark"]) == (
        offered(f"{form} service.d"),
        offered(f"{form} service.theme=d"),
    )
