"""Partitions and queues of real clusters in the dashboard: offered, remarked upon, and where the job goes."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import anyio
import anyio.to_thread
import pytest

from tests.live.chromium import PROGRAM, Page, chromium

from .bed import Cluster
from .bed.pbs_cluster import PbsCluster
from .bed.person import Person, person
from .scenario import add_where, ended, job_of
from .test_dashboard import AXE, FIELD, press, put, wrong

pytestmark = [
    pytest.mark.anyio,
    pytest.mark.live,
    pytest.mark.timeout(300),
    pytest.mark.skipif(PROGRAM is None, reason="no Chromium on this machine"),
]

FORM = """<tool id="job" name="Job"><inputs>
<section name="pwrl_host" type="section" title="Where">
  <param name="jobschedulertype" type="select" label="How">
    <option value="SLURM">Job</option><option value="CONTROLLER">Login node</option>
  </param>
  <param name="_sch__dd_partition_e_" type="text" label="Part of it" value=""/>
  <param name="_sch__dd_time_e_" type="text" label="For" value="30:00"/>
</section>
<section name="service" type="section" title="Service"><param name="name" type="hidden" value="where"/></section>
</inputs></tool>
"""
CHOICES = "[...{}.querySelectorAll('datalist option')].map(e => [e.value, e.label])"


@asynccontextmanager
async def form(me: Person, name: str) -> AsyncIterator[Page]:
    """A browser with the form of ``name``."""
    done = await anyio.to_thread.run_sync(lambda: me.ctl("dashboard", "--print"))
    assert 0 == done.status, done.err
    async with chromium() as page:
        await page.go(done.out.strip())
        await page.until("document.querySelector('h1')?.textContent === 'Sessions'")
        await page.ask(f"location.hash = '#/new/{name}'")
        await page.until(f"{FIELD.format('Cluster')} !== undefined")
        yield page


async def shows(page: Page, label: str, part: str, text: str) -> None:
    """Wait until a part of a field (about, remark) has a text; then no more is wrong with the page than before."""
    await page.until(f"{FIELD.format(label)}?.querySelector('[id$=-{part}]').textContent === {text!r}")
    assert [] == await wrong(page)


async def choices(page: Page, label: str) -> list[Any]:
    """What a field offers, once it offers something."""
    field = FIELD.format(label)
    await page.until(f"{field}?.querySelector('datalist option') instanceof Element")
    found: list[Any] = await page.ask(CHOICES.format(field))
    return found


async def test_partitions_are_offered_and_the_chosen_one_is_the_job_s(cluster: Cluster) -> None:
    """Whoever chooses a cluster has it asked; what is typed is remarked upon and never refused."""
    with person(cluster) as me:
        add_where(me)
        async with form(me, "where") as page:
            await page.ask(AXE.read_text(encoding="utf-8"))
            assert await page.ask(f"{FIELD.format('Partition')} === undefined")
            assert "idle" == (await anyio.to_thread.run_sync(me.client.clusters))[1]["link"]["state"]
            await put(page, "Cluster", "bed")
            assert [
                ["short", "short: default, up to 1:00:00, 2 nodes"],
                ["long", "long: 1 node"],
            ] == await choices(page, "Partition")
            await page.ask(f"{FIELD.format('Partition')}.querySelector('input').focus()")
            assert "short" == await page.ask("document.activeElement.placeholder")
            await shows(page, "Partition", "about", "short: default, up to 1:00:00, 2 nodes")
            await put(page, "Walltime", "02:00:00")
            await shows(page, "Walltime", "remark", "Short gives a job 1:00:00 at most.")
            # Half a name is not wrong while the other half may come; afterwards it is.
            await page.press("lo")
            await shows(page, "Partition", "about", "")
            assert "" == await page.ask(f"{FIELD.format('Partition')}.querySelector('.remark').textContent")
            await page.ask("document.activeElement.blur()")
            await shows(page, "Partition", "remark", "The cluster does not list a partition of this name.")
            assert await page.ask("document.querySelector('[aria-invalid]') === null")
            await put(page, "Partition", "long")
            await shows(page, "Partition", "about", "long: 1 node")
            await shows(page, "Partition", "remark", "")
            await shows(page, "Walltime", "remark", "")
            await put(page, "Longest wait", "soon")
            await put(page, "Name", "far")
            await press(page, "Start")
            await shows(page, "Longest wait", "wrong", '"soon" is no length of time.')
            await put(page, "Longest wait", "2h")
            await press(page, "Start")
            await page.until("document.querySelector('h1')?.textContent === 'far'")
            await page.until("document.querySelector('.pill').textContent === 'running'")
        session = await anyio.to_thread.run_sync(me.client.session, "far")
        assert "long" == cluster.job(job_of(session))["Partition"]
        await anyio.to_thread.run_sync(lambda: me.ctl("stop", "far"))
        await anyio.to_thread.run_sync(lambda: ended(me, cluster, "far", "cancelled"))


async def test_a_form_s_own_fields_are_offered_them_too(cluster: Cluster) -> None:
    """Whatever the form calls them; a walltime is read as Slurm reads it, and the login node has no partitions."""
    with person(cluster) as me:
        add_where(me)
        (me.services / "where" / "workflows").mkdir()
        (me.services / "where" / "workflows" / "job.xml").write_text(FORM)
        # Somebody else wanted to know before.
        known = await anyio.to_thread.run_sync(lambda: me.client.partitions("bed", ask=True))
        assert ["short", "long"] == [one["name"] for one in known["partitions"]]
        async with form(me, "where/job") as page:
            await page.ask(AXE.read_text(encoding="utf-8"))
            await put(page, "Cluster", "bed")
            assert ["short", "long"] == [name for name, _ in await choices(page, "Part of it")]
            assert await page.ask(f"{FIELD.format('Partition or queue')} === undefined")
            await shows(page, "For", "remark", "")
            await put(page, "For", "90:00")
            await shows(page, "For", "remark", "Short gives a job 1:00:00 at most.")
            await put(page, "Part of it", "long")
            await shows(page, "For", "remark", "")
            await put(page, "Part of it", "lang")
            await shows(page, "Part of it", "remark", "The cluster does not list a partition of this name.")
            await put(page, "Cluster", "local")
            await page.until(f"!{FIELD.format('Part of it')}?.querySelector('datalist option')")


async def test_a_cluster_that_needs_a_login_is_asked_afterwards(cluster: Cluster) -> None:
    """Nothing is tried that could ring somebody's phone; once the way is there the choices come by themselves."""
    with person(cluster, login="interactive") as me:
        add_where(me)
        async with form(me, "where") as page:
            await page.ask(AXE.read_text(encoding="utf-8"))
            await put(page, "Cluster", "bed")
            await page.until(f"{FIELD.format('Partition')}?.textContent.includes('Its partitions are not known')")
            assert "needs-login" == (await anyio.to_thread.run_sync(me.client.clusters))[1]["link"]["state"]
            assert [] == await wrong(page)
            await page.ask(f"{FIELD.format('Partition')}.querySelector('button').focus()")
            await page.press("\n")
            await page.until(f"document.activeElement === {FIELD.format('Partition')}.querySelector('input')")
            await page.until(f"{FIELD.format('Partition')}?.textContent.includes('Its partitions are not known')")
            me.configure(login="key")
            await anyio.to_thread.run_sync(me.client.reload)
            assert 0 == (await anyio.to_thread.run_sync(me.ctl, "partitions", "bed")).status
            assert ["short", "long"] == [name for name, _ in await choices(page, "Partition")]


async def test_queues_of_pbs_are_offered(pbs: PbsCluster) -> None:
    """Which is the usual one its server says."""
    with person(pbs) as me:
        add_where(me)
        async with form(me, "where") as page:
            await page.ask(AXE.read_text(encoding="utf-8"))
            await put(page, "Cluster", "bed")
            assert ["workq", "workq: default"] == (await choices(page, "Partition"))[0]
            await put(page, "Partition", "workp")
            await shows(page, "Partition", "remark", "The cluster does not list a queue of this name.")


def test_a_changed_configuration_is_asked_anew(cluster: Cluster) -> None:
    """By the verb, which connects, and by Tab, which does not wait: what the old configuration brought is forgotten."""
    with person(cluster) as me:
        assert [] == tab(me)
        done = me.ctl("partitions", "bed")
        assert (0, "") == (done.status, done.err)
        assert ["PARTITION", "short", "long"] == [line.split()[0] for line in done.out.splitlines()]
        assert ["plain,short", "plain,long"] == tab(me)
        me.configure(scheduler="pbs")
        assert 0 == me.ctl("reload").status
        assert [] == tab(me)
        done = me.ctl("partitions", "bed")
        assert 1 == done.status
        assert "there is no qstat on" in done.err
        me.configure(scheduler="slurm")
        assert 0 == me.ctl("reload").status
        assert "short" in me.ctl("partitions", "bed").out
        assert ["plain,short", "plain,long"] == tab(me)


def tab(me: Person) -> list[str]:
    """What the Tab key offers for a partition."""
    line = "sessionctl start webshell --on bed --set partition="
    done = me.ctl(_SESSIONCTL_COMPLETE="bash_complete", COMP_WORDS=line)
    assert (0, "") == (done.status, done.err)
    return done.out.split()
