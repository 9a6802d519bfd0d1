"""What is known of the end of a job on a real Slurm cluster, and what a support desk is given of it."""

from __future__ import annotations

import io
import json
import tarfile
from pathlib import Path
from typing import Any

import pytest

from sessiond.api.wire import Session
from tests.daemon.workspace import fetch

from .bed.fixtures import fresh_cluster
from .bed.person import Person, person
from .bed.waiting import until
from .scenario import SERVE, add_service, add_where, job_of

pytestmark = [pytest.mark.live, pytest.mark.timeout(300)]

SECRET = "hunter2 & of 'mine'"
CHATTY = (
    'for i in $(seq 300); do echo "line $i"; done\necho "the password is ${service_password}"\n'
    f'{SERVE} &\nuntil [ -e "${{HOME}}/silent" ]; do sleep 0.1; done\nkill $!\n'
    'until [ -e "${HOME}/over" ]; do sleep 0.1; done\nexit 3\n'
)


def kept(me: Person, session: Session) -> Path:
    """Where what was collected of a session's end is kept."""
    return me.state / "sessions" / session["id"] / "postmortem.json"


def collected(me: Person, session: Session) -> dict[str, Any]:
    """That, once it is complete."""
    file = kept(me, session)
    until(lambda: file.exists() and json.loads(file.read_text())["complete"], f"{file} is complete")
    found: dict[str, Any] = json.loads(file.read_text())
    return found


def bundle(me: Person, name: str) -> dict[str, str]:
    """The files of a session's bundle."""
    target = me.root / f"{name}.tar.gz"
    done = me.ctl("why", name, "--bundle", str(target))
    assert 0 == done.status, done.err
    with tarfile.open(fileobj=io.BytesIO(target.read_bytes())) as archive:
        names = {member.name.split("/", 1)[1]: member for member in archive if member.isfile()}
        return {name: archive.extractfile(member).read().decode() for name, member in names.items()}  # type: ignore[union-attr]  # files


def test_the_cause_of_each_unexpected_end_is_collected() -> None:
    """The script fails, somebody else cancels the job, its node loses its power: for each the exit record, what the
    scheduler knows, the node, the end of the log, the last trouble of its tunnel and the scripts, and no secret;
    nothing of one that the person stopped."""
    with fresh_cluster(slurmd_timeout_s=2, message_timeout_s=2) as cluster, person(cluster, start=False) as me:
        add_service(me, "chatty", CHATTY, manifest="[params.service_password]\nsecret = true\n")
        add_where(me)
        me.daemon()

        def start(name: str, node: str, service: str = "where", **more: Any) -> Session:
            directives = ["--no-requeue", f"--nodelist={node}"]
            return me.start(service, cluster="bed", name=name, time="30", directives=directives, **more)

        fails = start("fails", "node1", "chatty", set={"service_password": SECRET})
        removed, stopped, dark = start("removed", "node1"), start("stopped", "node1"), start("dark", "node2")
        (cluster.home() / "silent").touch()
        assert 0 == cluster.ssh("scancel", job_of(removed)).returncode
        cluster.power_off("node2")
        until(lambda: 503 == fetch(str(fails["url"]))[0], "the service is silent")
        me.until_so("fails", lambda one: one["state"] in ("tunnel", "ended"))
        assert "the last trouble on the way to its service: " in me.ctl("why", "fails").out
        (cluster.home() / "over").touch()
        assert 0 == me.ctl("stop", "stopped").status
        for one in (removed, dark):
            cluster.until_ended(job_of(one), 60)
        me.ctl("ls", "--fresh")
        outcomes = {"fails": "failed", "removed": "cancelled", "dark": "node-failed"}
        for name, outcome in outcomes.items():
            assert outcome == me.until_so(name, lambda one: one["state"] == "ended", 60)["outcome"]
        found = {one["name"]: collected(me, one) for one in (fails, removed, dark)}
        assert not kept(me, stopped).exists()

        assert (3, 143, None) == tuple(found[name]["evidence"]["status"] for name in outcomes)
        for name, state in (("fails", "FAILED"), ("removed", "CANCELLED"), ("dark", "NODE_FAIL")):
            assert f"JobState={state}" in found[name]["evidence"]["words"][-1]["said"]
        assert ["node1", "node1", "node2"] == [found[name]["node"] for name in outcomes]
        assert (["line 102", "the password is ***"], 200) == (found["fails"]["log"][::199], len(found["fails"]["log"]))
        assert "node1" in found["fails"]["tunnel"]
        assert "" == found["removed"]["tunnel"]
        assert "cancelled on the cluster" == me.client.session("removed")["phrase"]
        for name in outcomes:
            why = me.ctl("why", name).out
            assert "scontrol show job: JobState=" in why
            assert "Next: " in why
            files = bundle(me, name)
            assert {"story.txt", "log.txt", "scheduler.txt", "evidence.json", "link.txt", "versions.txt"} <= set(files)
            assert "#SBATCH" in files["rendered/job.sh"]
            assert why.splitlines()[1:] == files["story.txt"].splitlines()[1:]
            assert " ago)" not in files["story.txt"]
            texts = [*files.values(), kept(me, me.client.session(name)).read_text()]
            assert [] == [text for text in texts for word in ("hunter2", "of 'mine") if word in text]
