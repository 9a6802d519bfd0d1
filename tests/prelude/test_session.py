"""What a template may do, and what is published of it: real sessions in real shells."""

from __future__ import annotations

import os
import signal
import stat
import subprocess
import time
from pathlib import Path

import pytest

from tests.prelude.conftest import RUN, MakeTrial, Trial

HELLO = 'echo hello > "${SYNC}"\n'
"""A line that blocks until the test reads the pipe named by SYNC."""


def ended(trial: Trial) -> tuple[str, str]:
    """Status and reason of the exit record, whose time and run are checked on the way."""
    record = trial.fields("exit")
    assert ["status", "at", "run", "reason"] == list(record)
    assert abs(time.time() - int(record["at"])) < 60
    assert RUN == record["run"]
    return record["status"], record["reason"]


@pytest.mark.parametrize(
    ("template", "status"),
    [
        ("true\n", 0),
        ("exit 7\n", 7),
        ("cd /; false\n", 1),
        ("(exit 3)", 3),
        ("exec bash -c 'exit 5'\n", 5),
        ("set -euo pipefail\nfalse\necho not reached\n", 1),
        ("trap 'echo my own' EXIT TERM USR1\nexit 4\n", 4),
        ("if true\n", 2),
        ("sleep 1000 &\nexit 6\n", 6),
        ("shopt -s nullglob extglob; IFS=x; set -fC; umask 000; exit 8", 8),
    ],
)
def test_the_templates_end_is_the_sessions_end(trial: MakeTrial, template: str, status: int) -> None:
    """Returning, exit, exec, a syntax error, background children, own traps and options: its status is published."""
    one = trial(template)
    assert status == one.run()
    assert (str(status), "exit") == ended(one)
    assert "not reached" not in one.log()
    assert not (one.folder / "failure").exists()


def test_the_endpoint_is_published_before_the_template(trial: MakeTrial) -> None:
    """The endpoint names the run, the host and the port the template has; all files are the owner's alone."""
    one = trial('cat endpoint > seen; echo "$servicePort"; printenv servicePort; pwd; cd /\n')
    assert 0 == one.run()
    port, exported, cwd = one.log().split()
    assert port == exported
    assert str(one.folder) == cwd
    assert {"run": RUN, "host": "127.0.0.1", "port": port, "scheme": "http"} == one.fields("seen")
    modes = [stat.S_IMODE((one.folder / name).stat().st_mode) for name in ("endpoint", "exit")]
    assert [0o600, 0o600] == modes
    assert [] == [path.name for path in one.folder.glob(".*")]


def test_the_template_has_what_the_contract_promises(trial: MakeTrial) -> None:
    """Inputs, secrets, load_env as shell text after the cluster's set-up, helper variables, no stdin, no options."""
    one = trial(
        'echo "$FROM_LOAD|$FROM_SETUP|$service_token|$job_number|$resource_jobdir|$-"\ncat; read -r x; echo rest\n',
        params={"service_load_env": "FROM_LOAD=$FROM_SETUP-loaded"},
        setup="FROM_SETUP=setup",
    )
    assert 0 == one.run()
    assert [f"setup-loaded|setup|s3cret|00007|{one.folder}|hB", "rest"] == one.log().splitlines()


def test_signals_reach_what_the_template_starts(trial: MakeTrial) -> None:
    """Neither SIGINT nor SIGQUIT is ignored in the service: notebooks interrupt their kernels with the former."""
    one = trial("grep SigIgn /proc/self/status\n")
    assert 0 == one.run()
    assert 0 == int(one.log().split()[1], 16) & (1 << signal.SIGINT - 1 | 1 << signal.SIGQUIT - 1)


@pytest.mark.parametrize(
    "template",
    [
        'displayErrorMessage "no luck"\n',
        "displayErrorMessage no luck\n",
        'x=$(displayErrorMessage "no luck")\nsleep 1000\n',
        '(displayErrorMessage "no luck") &\nsleep 1000\n',
        "bash -c 'displayErrorMessage \"no luck\"'; sleep 1000\n",
        'set -euo pipefail; cd /; x=$(displayErrorMessage "no luck"; echo leak); sleep 1000\n',
        'trap "exit 0" EXIT; displayErrorMessage "no luck"\n',
        "set -x; displayErrorMessage 'no luck'\n",
        "displayErrorMessage $'no \\x1b\\x07luck\\nsecond line'\n",
    ],
)
def test_display_error_message_ends_the_session(trial: MakeTrial, template: str) -> None:
    """From the template, a subshell, a substitution or a child process: status 1, the message published and logged."""
    one = trial(template)
    assert 1 == one.run()
    assert ("1", "exit") == ended(one)
    assert "no luck\n" == (one.folder / "failure").read_text()
    assert "luck" in one.log()
    assert 0o600 == stat.S_IMODE((one.folder / "failure").stat().st_mode)


def test_a_message_that_comes_before_the_watcher_knows_its_service(trial: MakeTrial) -> None:
    """On a busy machine the service may say that it gives up before the shell that started it has its number."""
    one = trial('(displayErrorMessage "no luck") &\nsleep 1000\n')
    watch = one.folder / "lib" / "watch.sh"
    knows = "  sessiond_service=$!\n"
    before, after = watch.read_text().split(knows)
    held = '  until [ -n "${sessiond_interrupted-}" ]; do sleep 0.05; done\n'
    watch.write_text(f"{before}{held}{knows}{after}")
    assert 1 == one.run()
    assert ("1", "exit") == ended(one)
    assert "no luck\n" == (one.folder / "failure").read_text()


def test_a_child_that_is_ended_as_it_is_born_publishes_nothing(trial: MakeTrial) -> None:
    """Bash has such a child run the trap that it has from its parent: the session is not over for that."""
    one = trial("ls\n")
    watch = one.folder / "lib" / "watch.sh"
    before, begins, after = watch.read_text().partition('  sessiond_service="" sessiond_gave_up=""\n')
    assert begins
    watch.write_text(f"{before}{begins}  (sessiond_status=7 sessiond_publish)\n{after}")
    assert 0 == one.run()
    assert "session.sh" in one.log().splitlines()
    assert "exit" not in one.log().splitlines()
    assert ("0", "exit") == ended(one)


def test_display_error_message_is_bounded(trial: MakeTrial) -> None:
    """A message is cut at a thousand bytes; an empty one is replaced by a sentence."""
    one = trial("displayErrorMessage \"$(printf 'x%.0s' {1..5000})\"\n")
    one.run()
    assert "x" * 1000 + "\n" == (one.folder / "failure").read_text()
    other = trial("displayErrorMessage\n")
    other.run()
    assert "The service gave up without saying why.\n" == (other.folder / "failure").read_text()


@pytest.mark.parametrize("name", ["TERM", "INT", "HUP"])
@pytest.mark.parametrize("group", [True, False])
def test_signals_are_published(trial: MakeTrial, name: str, *, group: bool) -> None:
    """A signal to the group or to the outer shell alone ends the service's shell, and the record names it."""
    one = trial("echo $$ > shell\n" + HELLO + "sleep 1000\n", params={"SYNC": "sync"})
    sync = one.fifo("sync")
    process = one.start()
    sync.read_text()
    number = signal.Signals[f"SIG{name}"]
    (os.killpg if group else os.kill)(process.pid, number)
    assert 128 + number == process.wait()
    assert (str(128 + number), f"signal:{name}") == ended(one)
    assert not Path(f"/proc/{(one.folder / 'shell').read_text().strip()}").exists()
    assert not (one.folder / "ports").exists()


def test_a_template_that_ignores_term_is_killed(trial: MakeTrial) -> None:
    """The outer shell waits six seconds for a template that does not want to end, then ends it and publishes."""
    one = trial("trap '' TERM\n" + HELLO + "while :; do sleep 0.2; done\n", params={"SYNC": "sync"})
    sync = one.fifo("sync")
    process = one.start()
    sync.read_text()
    process.terminate()
    assert 143 == process.wait()
    assert ("143", "signal:TERM") == ended(one)


def test_a_shell_that_is_killed_is_told_apart(trial: MakeTrial) -> None:
    """A service's shell that dies by SIGKILL, as out of memory, is recorded as killed."""
    one = trial("kill -KILL $$\n")
    assert 137 == one.run()
    assert ("137", "signal:KILL") == ended(one)


def test_an_earlier_runs_words_are_not_this_runs(trial: MakeTrial) -> None:
    """A run begins without the failure, exit and notification of the one before it."""
    one = trial("ls > seen\n")
    for name in ("failure", ".failure", "exit", "notified"):
        (one.folder / name).write_text("old\n")
    assert 0 == one.run()
    assert not {"failure", ".failure", "exit", "notified"} & set((one.folder / "seen").read_text().split())
    assert ("0", "exit") == ended(one)


def test_notify_works_as_templates_call_it(trial: MakeTrial) -> None:
    """The line that templates have in common leaves the hint, and succeeds even where nothing can be written."""
    one = trial("${sshusercontainer} ${pw_job_dir}/utils/notify.sh && echo notified\n")
    assert 0 == one.run()
    assert "notified\n" == one.log()
    assert ["at"] == list(one.fields("notified"))
    (one.folder / "notified").unlink()
    (one.folder / "notified").mkdir()
    assert 0 == subprocess.run([one.folder / "utils" / "notify.sh", "Running"], check=False).returncode


def test_a_session_within_a_session_is_its_own(trial: MakeTrial) -> None:
    """What a template's environment says of its session does not leak into a session started from there."""
    inner = trial("exit 3\n")
    outer = trial(f"servicePort=1 SESSIOND_TAG={inner.session.tag} SESSIOND_RUN={RUN} bash {inner.folder}/session.sh\n")
    assert 3 == outer.run()
    assert ("3", "exit") == ended(inner)
    assert "1" != inner.fields("endpoint")["port"]


def test_session_marks_itself_and_names_its_run(trial: MakeTrial) -> None:
    """Started without marks, as by a scheduler, it sets the tag itself and takes job id and restarts for its run."""
    one = trial("tr '\\0' '\\n' < /proc/$$/environ | grep -c ^SESSIOND_TAG=\n")
    env = {"PATH": os.environ["PATH"], "SLURM_JOB_ID": "99", "SLURM_RESTART_COUNT": "2"}
    done = subprocess.run(["bash", one.folder / "session.sh"], env=env, check=True, capture_output=True, text=True)
    assert "1\n" == done.stdout
    assert "99.2" == one.fields("exit")["run"]


def test_kill_script(trial: MakeTrial) -> None:
    """The kill template sees inputs and secrets in the session's folder; what it leaves running bears its mark."""
    one = trial("true\n", kill='echo "$job_number $service_token $PWD ${SESSIOND_RUN-none} $SESSIOND_TAG"; exit 4\n')
    done = subprocess.run(
        ["bash", one.folder / "kill.sh"],
        env={"PATH": os.environ["PATH"], "SESSIOND_TAG": "x", "SESSIOND_RUN": "y"},
        check=False,
        capture_output=True,
        text=True,
    )
    assert (4, f"00007 s3cret {one.folder} none x\n") == (done.returncode, done.stdout)
