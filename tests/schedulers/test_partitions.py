"""What there is to choose from: sinfo's and qstat's lists, recorded, odd and hostile, and the script that asks."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

import pytest

from sessiond.core.command import Completed
from sessiond.core.errors import Unreadable
from sessiond.core.partitions import Partition, about_choice, about_time, in_words, usual
from sessiond.schedulers.batch.dialect import Batch
from sessiond.schedulers.batch.partitions import LARGEST_BYTES, MOST
from sessiond.schedulers.pbs.dialect import Pbs
from sessiond.schedulers.process import Process
from sessiond.schedulers.slurm.dialect import Slurm

from . import pbs_site, slurm_site
from .batch_site import BatchSite, Recording, hide, out_of_the_way, recorded
from .machine import Machine
from .slurm_site import said

US, RS = "\x1f", "\x1e"
SINFO = """#!/bin/sh
# A stand-in for sinfo: prints the file `sinfo.out`, exits with `sinfo.rc`.
echo "${SINFO_ALL-} $*" >>"$SITE/sinfo.calls"
cat "$SITE/sinfo.out"
exit "$(cat "$SITE/sinfo.rc" 2>/dev/null || echo 0)"
"""


def slurm(text: str, rc: int = 0, err: str = "") -> tuple[Partition, ...]:
    """What is read of sinfo's answer."""
    return Slurm().read_partitions(said(["partitions", text], ["said", str(rc), err]))


def pbs(queues: Recording, server: Recording | None = None) -> tuple[Partition, ...]:
    """What is read of qstat's answers."""
    about = server or Recording(1, "", "")
    records = [["queues", queues.out], ["said", str(queues.rc), queues.err]]
    return Pbs().read_partitions(said(*records, ["server", about.out], ["said", str(about.rc), about.err]))


def row(name: str, state: str = "up", longest: str = "1:00:00", nodes: str = "2") -> str:
    """One line of sinfo's."""
    return US.join((name, state, longest, nodes, "")) + "\n"


def queue(name: str, *attributes: str) -> Recording:
    """A server with one queue beside the one of the recording."""
    text = "".join(f"    {one}\n" for one in ("queue_type = Execution", *attributes))
    return Recording(0, f"{recorded('openpbs', 'qstat_Qf').out}Queue: {name}\n{text}\n", "")


def test_slurm_s_partitions_as_they_were_recorded() -> None:
    """The default, limits with and without days, and what each state lets jobs do."""
    found = slurm(recorded("slurm", "partitions").out)
    assert (
        Partition(name="short", is_default=True, longest_s=3600, nodes=2),
        Partition(name="long", nodes=1),
        Partition(name="gpu-a100", takes=False, longest_s=14 * 86400, nodes=1),
        Partition(name="debug", starts=False, longest_s=1800, nodes=2),
        Partition(name="old", takes=False, starts=False, longest_s=5400, nodes=0),
    ) == found
    assert [
        "default, up to 1:00:00, 2 nodes",
        "1 node",
        "takes no jobs now, up to 14 days, 1 node",
        "starts no jobs now, up to 0:30:00, 2 nodes",
        "takes no jobs now, up to 1:30:00, 0 nodes",
    ] == [in_words(one) for one in found]
    assert "short" == usual(found)


def test_pbs_s_queues_as_they_were_recorded() -> None:
    """The server knows which is the usual one."""
    found = pbs(recorded("openpbs", "qstat_Qf"), recorded("openpbs", "qstat_Bf"))
    assert (Partition(name="workq", is_default=True),) == found
    assert "" == usual(pbs(recorded("openpbs", "qstat_Qf")))


def test_torque_s_queues_as_they_were_recorded() -> None:
    """In tabulators, with other words for yes; its front end to Slurm has no word of a server."""
    assert (Partition(name="short"), Partition(name="long")) == pbs(recorded("torque", "qstat_Qf"))


@pytest.mark.parametrize(
    ("attributes", "expected"),
    [
        (["enabled = False", "started = True"], Partition(name="q", takes=False)),
        (["enabled = True", "started = no"], Partition(name="q", starts=False)),
        (["resources_max.walltime = 100:00:00"], Partition(name="q", longest_s=360_000)),
        (["resources_max.walltime = soon"], Partition(name="q")),
        (["queue_type = Route", "route_destinations = workq"], Partition(name="q")),
    ],
)
def test_what_a_queue_says_of_itself(attributes: list[str], expected: Partition) -> None:
    """Whether it takes jobs and starts them, for how long, and that a routing queue is one."""
    assert expected == pbs(queue("q", *attributes))[-1]


def test_a_queue_that_only_others_can_fill_is_no_choice() -> None:
    """The server refuses a job that is submitted to it."""
    assert ["workq"] == [one.name for one in pbs(queue("inner", "from_route_only = True"))]
    assert ["workq", "outer"] == [one.name for one in pbs(queue("outer", "from_route_only = False"))]


@pytest.mark.parametrize(
    "line",
    [
        row(""),
        row("*"),
        row("-x"),
        row("a b"),
        row("<b>"),
        row("$(id)"),
        row("x" * 256),
        row("gpu", state="busy"),
        row("gpu").replace(US, "|"),
        row("gpu").strip() + US + "more" + US + "\n",
        "CLUSTER: north\n",
        "Welcome to the cluster!\n",
        "\x00\n",
    ],
)
def test_lines_that_are_no_partition_s_are_left_out(line: str) -> None:
    """Names that could not be asked for, other formats, greetings."""
    assert ["short"] == [one.name for one in slurm(line + row("short*") + line)]


@pytest.mark.parametrize("longest", ["", "n/a", "infinite", "UNLIMITED", "-1:00", "1:2:3:4", "9" * 40 + ":00", "1-"])
def test_a_limit_that_is_none_is_none(longest: str) -> None:
    """What is not a time limits nothing; nor do nodes have to be a number."""
    assert (Partition(name="p"),) == slurm(row("p", longest=longest, nodes="1.2K"))


def test_of_two_of_one_name_the_first_counts() -> None:
    """A cluster of a federation has another's partitions below its own."""
    assert [7200] == [one.longest_s for one in slurm(row("p", longest="2:00:00") + row("p", longest="1:00"))]


@pytest.mark.parametrize(
    "real",
    [
        recorded("slurm", "down_sinfo"),
        Recording(0, row("short"), "sinfo: error: Invalid field specification"),
        Recording(0, "", ""),
        Recording(0, row("short") + "lon", ""),
        Recording(124, row("short"), ""),
        Recording(0, "".join(row(f"p{number}") for number in range(MOST + 1)), ""),
    ],
    ids=["down", "trouble", "nothing", "cut off", "too slow", "far too many"],
)
def test_slurm_s_silence_is_no_list(real: Recording) -> None:
    """Nothing is learnt of an answer that fails, is cut off, empty or beyond all measure."""
    with pytest.raises(Unreadable):
        slurm(real.out, real.rc, real.err)


@pytest.mark.parametrize(
    "real",
    [
        recorded("openpbs", "down_qstat"),
        Recording(0, "", "qstat: cannot connect to server pbs (errno=15010)"),
        Recording(0, "", ""),
        Recording(0, recorded("openpbs", "qstat_Qf").out.rstrip("\n"), ""),
    ],
    ids=["down", "down and well", "nothing", "cut off"],
)
def test_pbs_s_silence_is_no_list(real: Recording) -> None:
    """As with Slurm."""
    with pytest.raises(Unreadable):
        pbs(real, recorded("openpbs", "qstat_Bf"))


@pytest.mark.parametrize("dialect", [Slurm(), Pbs()], ids=["slurm", "pbs"])
@pytest.mark.parametrize(
    "stdout",
    [
        b"",
        b"\xff\xfe",
        f"{RS}sessiond{RS}end\n".encode(),
        f"{RS}sessiond{RS}partitions{US}x{RS}end\n".encode(),
        f"{RS}sessiond{RS}partitions{US}{RS}said{US}0{US}{RS}end\n".encode(),
        b"x" * (LARGEST_BYTES + 1),
    ],
)
def test_what_is_no_reply_is_refused(dialect: Batch, stdout: bytes) -> None:
    """A reply of another script, of none, and megabytes."""
    with pytest.raises(Unreadable):
        dialect.read_partitions(Completed(rc=0, stdout=stdout, stderr=b""))


def test_without_a_scheduler_there_is_nothing_to_choose() -> None:
    """And nobody is asked."""
    assert Process().partitions("") is None
    assert () == Process().read_partitions(Completed(rc=0, stdout=b"", stderr=b""))
    assert Process().walltime_s("1:00") is None


@pytest.mark.parametrize(
    ("text", "slurm_s", "pbs_s"),
    [
        ("90", 5400, 90),
        ("2:30", 150, 150),
        ("01:00:00", 3600, 3600),
        ("2-12", 216_000, None),
        ("1-02:03", 93_780, None),
        ("1-00:00:01", 86_401, None),
        ("", None, None),
        ("UNLIMITED", None, None),
        ("1:2:3:4", None, None),
        ("٣", None, None),
    ],
)
def test_walltimes_as_each_scheduler_writes_them(text: str, slurm_s: int | None, pbs_s: int | None) -> None:
    """A bare number is minutes for the one and seconds for the other."""
    assert (slurm_s, pbs_s) == (Slurm().walltime_s(text), Pbs().walltime_s(text))


def test_what_is_to_be_said_of_a_choice() -> None:
    """A name that is not listed, a partition that is shut, a walltime that is longer than it gives."""
    found = slurm(recorded("slurm", "partitions").out)
    assert "" == about_choice(found, "", "partition") == about_choice(found, "long", "partition")
    assert "the cluster does not list a queue of this name" == about_choice(found, "shrot", "queue")
    assert "" == about_choice(found, "short,shrot", "partition") == about_choice(found, "q@other", "queue")
    assert "debug starts no jobs now" == about_choice(found, "debug", "partition")
    assert "short gives a job 1:00:00 at most" == about_time(found, "short", 3601)
    assert "" == about_time(found, "short", 3600) == about_time(found, "short", None)
    assert "" == about_time(found, "long", 10**9) == about_time(found, "shrot", 10**9)


# The script.


class Slurms(slurm_site.Site):
    """A site whose stand-ins answer to what the script asks Slurm."""

    programs: ClassVar[Mapping[str, str]] = {**slurm_site.Site.programs, "sinfo": SINFO}


def asked(site: BatchSite, setup: str = "") -> tuple[Partition, ...]:
    """What the dialect's command brings from a machine."""
    command = site.dialect.partitions(setup)
    assert command is not None
    return site.dialect.read_partitions(site.machine.run(command))


def test_sinfo_is_asked_once_and_undisturbed(machine: Machine) -> None:
    """What a person's environment says about sinfo changes nothing."""
    site = Slurms(machine)
    site.put("sinfo.out", recorded("slurm", "partitions").out)
    machine.environ["SINFO_ALL"] = "1"
    assert ["short", "long", "gpu-a100", "debug", "old"] == [one.name for one in asked(site)]
    assert [f" --noheader --format=%P{US}%a{US}%l{US}%D{US}"] == site.lines("sinfo.calls")


def test_qstat_is_asked_for_queues_and_server(machine: Machine) -> None:
    """A server that does not answer the first question is not asked the second."""
    site = pbs_site.Site(machine)
    site.shows("qstat_Qf")
    assert (Partition(name="workq"),) == asked(site)
    assert ["UTC -Q -f", "UTC -B -f"] == site.lines("qstat.calls")
    site.shows("down_qstat")
    with pytest.raises(Unreadable):
        asked(site)
    assert 3 == len(site.lines("qstat.calls"))


def test_commands_that_only_the_setup_finds_are_found(machine: Machine) -> None:
    """There is no session yet whose folder would have it."""
    site = Slurms(machine)
    site.put("sinfo.out", row("short*"))
    hidden = hide(site)
    command = site.dialect.partitions(f"export PATH=$PATH:{hidden}\n")
    assert command is not None
    done = machine.run(out_of_the_way(site, command, "SLURM_PLACES"))
    assert ["short"] == [one.name for one in site.dialect.read_partitions(done)]
    assert str(hidden) not in " ".join(command.argv)


def test_where_there_is_no_command_it_is_named(machine: Machine) -> None:
    """And what to do is said."""
    site = Slurms(machine)
    hide(site)
    command = site.dialect.partitions("")
    assert command is not None
    with pytest.raises(Unreadable, match="there is no sinfo on") as raised:
        site.dialect.read_partitions(machine.run(out_of_the_way(site, command, "SLURM_PLACES")))
    assert "setup" in raised.value.hint
