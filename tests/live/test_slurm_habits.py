"""What sites do with Slurm that hides jobs from who looks naively."""

from __future__ import annotations

import pytest

from .bed import LOGIN
from .bed.fixtures import fresh_cluster
from .bed.person import person
from .scenario import add_where, ended, page, submissions

pytestmark = [pytest.mark.live, pytest.mark.timeout(300)]


def test_a_job_is_seen_in_a_hidden_partition_where_each_command_complains() -> None:
    """It runs, is reached, and ends when it is told to. squeue alone would not list its job, and reports an error with
    every answer, because slurm.conf still names the controller in the old way beside the new."""
    settings = fresh_cluster(partitions={"condo": "Hidden=YES MaxTime=60"}, slurm={"ControlMachine": LOGIN})
    with settings as made, person(made, start=False) as me:
        add_where(me)
        me.daemon()
        done = me.ctl("start", "where", "--on", "bed", "--name", "mine", "--set", "partition=condo", "--time", "30")
        assert 0 == done.status, done.err
        session = me.client.session("mine")
        assert f" run {session['job_id']}.0 " in page(session)
        naive = made.ssh("squeue --me --noheader --format=%i")
        assert session["job_id"] not in naive.stdout.split()
        assert "error: Ignoring ControlMachine since SlurmctldHost is set." in naive.stderr
        # Its own script says that it runs; until when it may, only a look does.
        me.until_so("mine", lambda one: one["state"] == "running" and one["ends_by"] is not None, 20)
        assert 0 == me.ctl("stop", "mine").status
        assert 1 == submissions(made, ended(me, made, "mine", "cancelled"))
