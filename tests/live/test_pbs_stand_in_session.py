"""A daemon's session through the stand-in for PBS: from its submission to a page that a node serves, and to its end."""

from __future__ import annotations

import pytest

from .bed import NODES
from .bed.fixtures import fresh_pbs
from .bed.person import person
from .scenario import add_where, ended, job_of, page, submissions

pytestmark = [pytest.mark.live, pytest.mark.timeout(300)]


@pytest.mark.parametrize("face", ["openpbs", "torque"])
def test_a_session_on_a_node(face: str) -> None:
    """It is submitted once, its page comes from the node that its job runs on, and stopping it leaves nothing."""
    with fresh_pbs(face=face) as pbs, person(pbs, start=False) as me:
        add_where(me)
        me.daemon()
        done = me.ctl("start", "where", "--on", "bed", "--name", "w", "--time", "30")
        assert 0 == done.status, done.err + me.log.read_text()
        session = me.client.session("w")
        assert pbs.until_running(job_of(session)).nodes == page(session).split()[0]
        assert pbs.job(job_of(session))["exec_host"].partition("/")[0] in NODES
        assert 1 == submissions(pbs, session) == pbs.submit_calls()
        assert 0 == me.ctl("stop", "w").status
        ended(me, pbs, "w", "cancelled")
