"""A look at a login node of a PBS cluster: recorded answers, other versions' and hostile ones, under every shell."""

from __future__ import annotations

import re
import shutil
import time
from pathlib import Path

import pytest

from sessiond.schedulers.check import Finding, Grade, look, read_look

from .machine import Machine
from .test_check import OURS, STRAY, good, hasty, read, reply, tool

RECORDED = Path(__file__).parent / "recorded"
COMMANDS = ("qsub", "qstat", "qdel", "qselect", "qalter")
OPENPBS = {
    "qsub --version": "openpbs/qsub_version",
    "qstat --version": "openpbs/qstat_version",
    "qstat": "openpbs/qstat",
    "qstat -B -f": "openpbs/qstat_Bf",
    "qselect -u ME": "openpbs/qselect",
}
TORQUE = """Job ID                    Name             User            Time Use S Queue
------------------------- ---------------- --------------- -------- - -----
4711.head                  sd-k3f9q2m7x0cd christopher.wi* 00:00:01 R batch
4712.head                  sd-k3f9q2m7x0ef christopher.wi* 00:00:01 C batch
4713[].head                sd-k3f9q2m7x0gh christopher.wi*        0 Q batch
"""
"""Torque 6.1.2's columns, as its qstat.c has them; a job that has ended is listed for a while, in state C."""


def pbs(**changed: str) -> list[str]:
    """The records of a PBS cluster where all is well, but for what is ``changed`` (empty: left out)."""
    slurm = dict.fromkeys(("sbatch", "squeue", "scancel", "scontrol", "sacct", "accounting"), "")
    commands = {name: f"version|{name}|pbs_version = 23.06.06" for name in COMMANDS}
    records = {
        "queue": "asked|queue|0|",
        "history": "asked|history|0|",
        "setting": "setting|job_history_enable|True",
        "job": f"job|4711.pbs|{OURS}",
    }
    changed = slurm | commands | records | changed
    return [*good(**changed), *(changed[name] for name in (*commands, "history", "setting") if changed[name])]


def recording(name: str) -> tuple[int, str, str]:
    """The exit status, the output and the errors of a recorded command."""
    text = (RECORDED / f"{name}.txt").read_text()
    found = re.search(r"^### exit: (\d+).*?\n### stdout:\n(.*?)### stderr:\n(.*)\Z", text, re.DOTALL | re.MULTILINE)
    assert found is not None, name
    return int(found[1]), found[2], found[3]


class Site:
    """A machine with stand-ins for PBS's commands, each of which answers what it was told and nothing else."""

    def __init__(self, machine: Machine, answers: dict[str, str], commands: tuple[str, ...] = COMMANDS) -> None:
        """``answers`` are names of recordings by command line, in which ME is the user."""
        self.machine = machine
        self.answers = {question: recording(name) for question, name in answers.items()}
        for name in commands:
            folder = machine.root / "answers" / name
            folder.mkdir(parents=True)
            # The words of a question, without blanks, are the name of its answer.
            tool(
                machine,
                name,
                f'me=$(id -un); q="a"; for word; do [ "$word" != "$me" ] || word=ME; q="$q$word"; done\n'
                f"cd '{folder}' || exit 98\n"
                f'[ ! -f "$q.hang" ] || exec sleep 600\n'
                f'[ -f "$q.rc" ] || {{ echo "{name}: nobody asks for $*" >&2; exit 99; }}\n'
                f'cat "$q.out"; cat "$q.err" >&2; exit "$(cat "$q.rc")"',
            )

    def says(self, question: str, out: str, err: str = "", rc: int = 0) -> None:
        """Answer ``question`` so."""
        self.answers[question] = (rc, out, err)

    def look(self, *, hang: str | None = None) -> dict[str, Finding]:
        """Look at it, while the question ``hang`` is not answered."""
        for question, (rc, out, err) in self.answers.items():
            path = self._path(question)
            for kind, content in (("out", out), ("err", err), ("rc", str(rc))):
                path.with_name(f"{path.name}.{kind}").write_bytes(content.encode())
        command = look("~", "pbs")
        if hang is not None:
            command = hasty(command, hang.removesuffix("ME"))
            path = self._path(hang)
            path.with_name(f"{path.name}.hang").touch()
        asked_at = time.time()
        found = read_look(
            self.machine.run(command),
            scheduler="pbs",
            ours={OURS},
            asked_at=asked_at,
            answered_at=time.time(),
            proved_shared=False,
        )
        return {one.what: one for one in found}

    def _path(self, question: str) -> Path:
        command, *words = question.split()
        return self.machine.root / "answers" / command / "".join(("a", *words))


def named(listing: str, *names: tuple[str, str]) -> str:
    """The recorded listing with other names, each in a column of 16."""
    for old, new in names:
        assert f" {old:<16} " in listing
        listing = listing.replace(f" {old:<16} ", f" {new:<16} ")
    return listing


def test_a_cluster_where_all_is_well() -> None:
    """Everything is fine, and nothing needs a remedy."""
    found = read(reply(*pbs()), scheduler="pbs")
    assert {Grade.OK} == {one.grade for one in found.values()}
    assert {""} == {one.remedy for one in found.values()}
    names = ["shell", "clock", "tools", "scheduler", "queue", "history", "strays", "workdir", "space", "shared"]
    assert [*names, "linger"] == list(found)
    assert "pbs_version = 23.06.06" in found["scheduler"].text


@pytest.mark.parametrize(
    ("changed", "what", "grade", "words"),
    [
        ({"qsub": "version|qsub|"}, "scheduler", Grade.BAD, "qsub"),
        ({"qselect": ""}, "scheduler", Grade.BAD, "qselect"),
        ({"qalter": ""}, "scheduler", Grade.BAD, "qalter"),
        ({"queue": "asked|queue|124|"}, "queue", Grade.BAD, "did not answer within 15 s"),
        ({"queue": "asked|queue|143|"}, "queue", Grade.BAD, "did not answer within 15 s"),
        ({"queue": "asked|queue|255|qstat: cannot connect"}, "queue", Grade.BAD, "qstat: cannot connect"),
        ({"setting": ""}, "history", Grade.WARN, "forgets jobs when they end: how a job ended is known only from its"),
        ({"setting": "setting|job_history_enable|False"}, "history", Grade.WARN, "own record"),
        ({"setting": "setting|job_history_enable|TRUE"}, "history", Grade.OK, "keeps a history"),
        ({"setting": "setting|keep_completed|300"}, "history", Grade.OK, "for 300 s"),
        ({"setting": "setting|keep_completed|0"}, "history", Grade.WARN, "own record"),
        ({"setting": "setting|keep_completed|-1; rm"}, "history", Grade.WARN, "own record"),
        ({"history": "asked|history|124|"}, "history", Grade.WARN, "qstat -B did not answer within 15 s"),
        ({"history": "asked|history|2|no -B here"}, "history", Grade.WARN, "qstat -B says: no -B here: how a job"),
        ({"job": f"job|4712.pbs|{STRAY}"}, "strays", Grade.WARN, "4712.pbs"),
        ({"job": "job|4712.pbs|sd-somebody"}, "strays", Grade.OK, ""),
    ],
)
def test_what_is_wrong(changed: dict[str, str], what: str, grade: Grade, words: str) -> None:
    """Each thing has its grade and its words; a thing that is wrong has a remedy."""
    found = read(reply(*pbs(**changed)), scheduler="pbs")[what]
    assert (grade, True) == (found.grade, words in found.text), found
    assert grade is Grade.OK or found.remedy


@pytest.mark.parametrize("changed", [{"queue": "asked|queue|255|down", "history": "", "setting": ""}, {"qselect": ""}])
def test_strays_are_not_spoken_of_where_nobody_was_seen(changed: dict[str, str]) -> None:
    """Neither by a server that does not answer, nor where nothing tells whose a job is."""
    assert "strays" not in read(reply(*pbs(job="", **changed)), scheduler="pbs")


def test_a_stray_names_what_ends_it() -> None:
    """With the whole of its id, and never a word that is none."""
    strays = [f"job|{one}|{STRAY}" for one in ("4712.head-1.example.org", "47;rm", "4713.x y", "4714.-W", "-p")]
    found = read(reply(*pbs(job=strays[0]), *strays[1:]), scheduler="pbs")["strays"]
    assert found.remedy.endswith(": qdel 4712.head-1.example.org")


def test_the_script_sees_a_server(machine: Machine) -> None:
    """A recorded one, which has none of our jobs."""
    found = Site(machine, OPENPBS).look()
    assert {Grade.OK} == {found[what].grade for what in ("queue", "history", "strays")}
    assert "its commands are there (qsub: pbs_version = 23.06.06)" == found["scheduler"].text
    assert "every job of ours" in found["strays"].text


def test_the_script_sees_an_empty_server(machine: Machine) -> None:
    """Neither command prints anything then, not even a header."""
    empty = {"qstat": "openpbs/qstat_empty", "qselect -u ME": "openpbs/qselect_none"}
    found = Site(machine, OPENPBS | empty).look()
    assert {Grade.OK} == {found[what].grade for what in ("queue", "history", "strays")}


def test_the_script_sees_strays(machine: Machine) -> None:
    """Jobs of the user's own that have one of our names; not the sessions', not another user's of the same column."""
    site = Site(machine, OPENPBS)
    rc, listing, _ = recording("openpbs/qstat")
    others = listing.splitlines()[-1].replace("24.pbs", "25.pbs").replace("weird           ", "sd-0000000000aa ")
    site.says("qstat", named(listing, ("filler", OURS), ("held", STRAY), ("weird", "sd-00000000000")) + others + "\n")
    found = site.look()["strays"]
    assert (Grade.WARN, rc) == (found.grade, 0)
    assert "1 of our jobs there belong to no session known here: 18.pbs" == found.text
    assert found.remedy.endswith(": qdel 18.pbs")


def test_the_script_sees_torque(machine: Machine) -> None:
    """It says its version on stderr, cuts users short, and lists jobs that have ended; an array is none of ours."""
    site = Site(machine, {})
    for name in COMMANDS:
        site.says(f"{name} --version", "", "Version: 6.1.2\nCommit: 661e092552de43a785c15d39a3634a541d86898e\n")
    site.says("qstat", TORQUE)
    site.says("qselect -u ME", "4711.head.example.org\n4712.head.example.org\n4713[].head.example.org\n")
    site.says("qstat -B -f", "Server: head\n    server_state = Active\n    keep_completed = 300\n")
    found = site.look()
    assert "its commands are there (qsub: Version: 6.1.2)" == found["scheduler"].text
    assert {Grade.OK} == {found[what].grade for what in ("scheduler", "queue", "history")}
    assert found["strays"].remedy.endswith(": qdel 4711.head.example.org")


def test_listings_that_are_made_up_for_people(machine: Machine) -> None:
    """What a site's qstat adds, line ends of another system, lines that are broken: no job is invented or missed."""
    site = Site(machine, OPENPBS)
    lines = [
        "\x1b[1mWelcome! sd-k3f9q2m7x0cd is not a job\x1b[0m",
        "qstat: 4 jobs of sd-k3f9q2m7x0cd were cached",
        f"  16.pbs {STRAY} me 00:00:00 R workq\r",
        f"17.a-very-long-se* {STRAY}  someone_with_a_l* 0 Q workq",
        f"18.pbs {STRAY}x me 0 Q workq",
        f"19.pbs {STRAY}",
        f"20.pbs x{STRAY} me 0 Q workq",
        f"21.pbs {STRAY} me 0 F workq",
        f"22.pbs $(touch hacked) {STRAY} `touch hacked` Q workq",
        "23.pbs sd-..\\..\\..\\n me 0 Q workq",
        "\x1f\x1e\x1eend",
    ]
    site.says("qstat", "\n".join(lines) + "\n")
    own = [f"{number}.pbs" for number in range(18, 24)]
    mine = "\n".join(["4 jobs are yours", "16.pbs", "17.a-very-long-server.example.org", *own, "16 jobs", "-x", "17;x"])
    site.says("qselect -u ME", mine + "\n")
    found = site.look()
    assert found["strays"].remedy.endswith(": qdel 16.pbs 17.a-very-long-server.example.org")
    assert found["strays"].text.startswith("2 of our jobs")
    assert Grade.OK is found["history"].grade
    assert [] == list(machine.root.rglob("hacked"))


def test_a_server_without_history(machine: Machine) -> None:
    """As it comes: PBS does not show what is off, unless it was switched off by hand."""
    site = Site(machine, OPENPBS)
    _, server, _ = recording("openpbs/qstat_Bf")
    for line in (
        "",
        "    job_history_enable = False\n",
        "    comment = job_history_enable = True\n\t job_history_enable\n",
    ):
        site.says("qstat -B -f", server.replace("    job_history_enable = True\n", line))
        found = site.look()["history"]
        assert Grade.WARN is found.grade
        assert "the server forgets jobs when they end: how a job ended is known only from its own record" == found.text


@pytest.mark.parametrize("who", ["qstat", "qselect"])
def test_a_server_that_is_down(machine: Machine, who: str) -> None:
    """Its own last words are told, and nothing else is said of it, also where it goes down between two questions."""
    site = Site(machine, OPENPBS)
    site.answers["qstat" if who == "qstat" else "qselect -u ME"] = recording(f"openpbs/down_{who}")
    found = site.look()
    text = f"the scheduler says: {who}: cannot connect to server pbs (errno=15010)"
    assert (Grade.BAD, text) == (found["queue"].grade, found["queue"].text)
    assert not {"history", "strays"} & set(found)


@pytest.mark.parametrize("hang", ["qstat", "qselect -u ME", "qstat -B -f"])
def test_a_server_that_hangs(machine: Machine, hang: str) -> None:
    """A suspended server takes questions and never answers; the look goes on."""
    found = Site(machine, OPENPBS).look(hang=hang)
    what = "history" if hang == "qstat -B -f" else "queue"
    assert "did not answer within 15 s" in found[what].text
    assert (Grade.WARN if what == "history" else Grade.BAD) is found[what].grade
    assert ("strays" in found) == (what == "history")
    assert Grade.OK is found["workdir"].grade


def test_the_wrapper_of_slurm_is_none(machine: Machine) -> None:
    """Debian's qstat in front of Slurm lists jobs, but there is no qselect, and it fails for `--version` and `-B`."""
    recorded = {"qstat --version": "qstat_version", "qstat": "qstat", "qstat -B -f": "qstat_B"}
    answers = {question: f"torque/{name}" for question, name in recorded.items()}
    found = Site(machine, answers, ("qsub", "qstat", "qdel", "qalter")).look()
    assert (Grade.BAD, "not found there: qselect") == (found["scheduler"].grade, found["scheduler"].text)
    assert Grade.OK is found["queue"].grade
    assert (Grade.WARN, True) == (found["history"].grade, found["history"].text.startswith("qstat -B says: "))
    assert "strays" not in found


def test_where_there_is_nothing(machine: Machine) -> None:
    """No command at all, as for a shell that reads no profile: the remedy says how to find them."""
    for name in COMMANDS:
        if shutil.which(name):
            pytest.skip("PBS is installed here")
    found = Site(machine, {}, ()).look()
    assert "not found there: qsub, qstat, qdel, qselect, qalter" == found["scheduler"].text
    assert "/etc/profile.d/pbs.sh" in found["scheduler"].remedy
    assert not {"queue", "history", "strays"} & set(found)
