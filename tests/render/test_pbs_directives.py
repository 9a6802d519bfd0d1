"""What is asked of PBS, line by line, in OpenPBS's form and in Torque's, and what is refused to be asked."""

from __future__ import annotations

import re
import shlex

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from sessiond.core.errors import SpecError
from sessiond.render.pbs_directives import directives, job_scripts, queue_of

from .sample import pbs_session as asking

MARK = "SESSIOND_ID=0123456789ab"
END = ["-j oe -o pbs.out", "-S /bin/bash"]
OURS = ["-N sd-0123456789ab", f"-v {MARK}", *END]


def theirs(*extra: str, **resources: object) -> list[str]:
    """What is left of a person's own directives, and what was asked for: all but what is ours in any case."""
    return [line for line in directives(asking(*extra, **resources)) if line not in OURS]


def test_everything_that_can_be_asked() -> None:
    """Each resource has its directive; a person's own come first."""
    all_of_it = asking(
        "#PBS -l place=scatter:excl",
        "  -m n ",
        walltime_s=90061,
        partition="gpu",
        account="abc123",
        nodes=2,
        tasks=4,
        cpus=8,
        memory="16g",
        gpus="2",
    )
    first = ["-l place=scatter:excl", "-m n", "-l walltime=25:01:01", "-q gpu", "-A abc123"]
    assert [*first, "-l select=2:ncpus=16:mpiprocs=2:mem=16gb:ngpus=2", *OURS] == list(directives(all_of_it))
    assert [*first, "-l nodes=2:ppn=16:gpus=2", "-l mem=32gb", *OURS] == list(directives(all_of_it, torque=True))


def test_nothing_asked_leaves_it_to_the_cluster() -> None:
    """Only what makes the job ours."""
    assert OURS == list(directives(asking()))
    assert OURS == list(directives(asking(), torque=True))


@pytest.mark.parametrize(
    ("resources", "pro", "torque"),
    [
        ({"nodes": 1}, ["-l select=1"], ["-l nodes=1:ppn=1"]),
        ({"nodes": 3}, ["-l select=3", "-l place=scatter"], ["-l nodes=3:ppn=1"]),
        ({"cpus": 4}, ["-l select=1:ncpus=4"], ["-l nodes=1:ppn=4"]),
        ({"tasks": 4}, ["-l select=1:ncpus=4:mpiprocs=4"], ["-l nodes=1:ppn=4"]),
        (
            {"nodes": 2, "tasks": 3, "cpus": 2},
            ["-l select=2:ncpus=4:mpiprocs=2", "-l place=scatter"],
            ["-l nodes=2:ppn=4"],
        ),
        ({"memory": "16G"}, ["-l select=1:mem=16gb"], ["-l mem=16gb"]),
        (
            {"memory": "500M", "nodes": 2},
            ["-l select=2:mem=500mb", "-l place=scatter"],
            ["-l nodes=2:ppn=1", "-l mem=1000mb"],
        ),
        ({"memory": "2000"}, ["-l select=1:mem=2000mb"], ["-l mem=2000mb"]),
        ({"memory": "3TB"}, ["-l select=1:mem=3tb"], ["-l mem=3tb"]),
        ({"memory": "900kb"}, ["-l select=1:mem=900kb"], ["-l mem=900kb"]),
        ({"gpus": "1"}, ["-l select=1:ngpus=1"], ["-l nodes=1:ppn=1:gpus=1"]),
        ({"walltime_s": 60}, ["-l walltime=0:01:00"], ["-l walltime=0:01:00"]),
        ({"partition": "workq@pbs02"}, ["-q workq@pbs02"], ["-q workq@pbs02"]),
    ],
)
def test_chunks_and_nodes(resources: dict[str, object], pro: list[str], torque: list[str]) -> None:
    """OpenPBS asks for chunks, one a node; Torque for nodes and processors on each, and memory of all together."""
    made = asking(**resources)
    assert [*pro, *OURS] == list(directives(made))
    assert [*torque, *OURS] == list(directives(made, torque=True))


@pytest.mark.parametrize(
    "extra", ["-l select=1:ncpus=2:host=n1", "-l nodes=1:ppn=2", "-lselect=4", "-l 'select=1:ncpus=1,place=excl'"]
)
def test_own_chunks_take_the_place_of_ours(extra: str) -> None:
    """Two of them would be refused."""
    for torque in (False, True):
        lines = list(directives(asking(extra, nodes=2, cpus=4, memory="1G"), torque=torque))
        assert 1 == len([line for line in lines if re.search("select|nodes", line)])


def test_own_place_takes_the_place_of_ours() -> None:
    """Where the chunks go is said once."""
    assert ["-l place=pack", "-l select=2"] == theirs("-l place=pack", nodes=2)


@pytest.mark.parametrize(
    ("extra", "resources", "left"),
    [
        ("-l walltime=9:00:00", {}, ["-l walltime=9:00:00"]),
        ("-l walltime=9:00:00", {"walltime_s": 60}, ["-l walltime=0:01:00"]),
        ("-lwalltime=9:00:00,file=1gb", {"walltime_s": 60}, ["-l file=1gb", "-l walltime=0:01:00"]),
        ("-l file=1gb,walltime=9,arch=x", {"walltime_s": 60}, ["-l file=1gb,arch=x", "-l walltime=0:01:00"]),
        ('-l "walltime=9:00:00,file=1gb"', {"walltime_s": 60}, ['-l "file=1gb"', "-l walltime=0:01:00"]),
        ("-l 'walltime=9:00:00'", {"walltime_s": 60}, ["-l walltime=0:01:00"]),
        ("-l min_walltime=9", {"walltime_s": 60}, ["-l min_walltime=9", "-l walltime=0:01:00"]),
        ("-q small", {}, ["-q small"]),
        ("-q small", {"partition": "gpu"}, ["-q gpu"]),
        ("-A other", {"account": "abc"}, ["-A abc"]),
        ("-A 'my account'", {}, ["-A 'my account'"]),
    ],
)
def test_what_is_said_twice_is_said_once(extra: str, resources: dict[str, object], left: list[str]) -> None:
    """What was asked for by name counts, and the rest of the directive stays."""
    assert left == theirs(extra, **resources)


@pytest.mark.parametrize(
    "extra",
    [
        "-N mine",
        "-Nmine",
        "-j n",
        "-e err.txt",
        "-o 'my out.txt'",
        "-S /bin/tcsh",
        "-k oe",
        "-R eo",
        "-koe",
        "-N 'a b'",
    ],
)
def test_what_a_session_says_itself_is_left_out(extra: str) -> None:
    """Its name, its log, its shell."""
    assert OURS == list(directives(asking(extra)))
    assert ["-m n"] == theirs(f"{extra} -m n")


@pytest.mark.parametrize(
    ("extra", "left"),
    [
        ("-hV", ["-h", "-V"]),
        ("-Vh -rn", ["-V", "-h", "-r n"]),
        ("-hN mine", ["-h"]),
        ("-Vlplace=excl", ["-V", "-l place=excl"]),
        ("-mn -M a@b,c@d", ["-m n", "-M a@b,c@d"]),
        ("-W depend=afterok:16.pbs -m n", ["-W depend=afterok:16.pbs", "-m n"]),
        ("-P 'my project'", ["-P 'my project'"]),
        ('-W umask=027,x="a b"', ['-W umask=027,x="a b"']),
        ("-a 203001010000", ["-a 203001010000"]),
        ("-l   place=excl", ["-l place=excl"]),
        ("-p -5", ["-p -5"]),
    ],
)
def test_letters_and_values_as_qsub_reads_them(extra: str, left: list[str]) -> None:
    """A value may be joined to its letter, and a letter without a value to the next."""
    assert left == theirs(extra)


@pytest.mark.parametrize(
    ("extra", "words"),
    [
        (["-v A=1"], ["A=1", MARK]),
        (["-vA=1,B"], ["A=1,B", MARK]),
        (["-v A=1", "-V -v B=2"], ["A=1", "B=2", MARK]),
        (["-v 'A=one, two'"], ["A=one, two", MARK]),
        (['-v A="one two",B=3'], ["A=one two,B=3", MARK]),
        (["""-v 'A="x,y"'"""], ['A="x,y"', MARK]),
        (["-v SESSIOND_ID=other"], ["SESSIOND_ID=other", MARK]),
        (["-v A=back\\\\slash"], ["A=back\\slash", MARK]),
    ],
)
def test_variables_are_one_list_with_our_mark_in_it(extra: list[str], words: list[str]) -> None:
    """Of several -v the last alone would count; quotes stay as they are written."""
    lines = [line for line in directives(asking(*extra)) if line.startswith("-v")]
    assert [["-v", ",".join(words)]] == [shlex.split(line) for line in lines]


@pytest.mark.parametrize(
    ("extra", "why"),
    [
        ("-J 0-3", "not an array"),
        ("-J0-3", "not an array"),
        ("-t 0-3", "not an array"),
        ("-I", "wait for a terminal"),
        ("-IX", "wait for a terminal"),
        ("-X", "wait for a terminal"),
        ("-VI", "wait for a terminal"),
        ("-z", "not tell the job's id"),
        ("-Vz", "not tell the job's id"),
        ("-C '#SBATCH'", "would not be read"),
        ("-W block=true", "before the session's end"),
        ("-Wblock=true", "before the session's end"),
        ("-W umask=027,block=true", "before the session's end"),
        ("-W 'umask=027, block=true'", "before the session's end"),
        ('-W "block=true"', "before the session's end"),
        ("-m n -I", "wait for a terminal"),
        ("-l", "-l needs a value"),
        ("-m n -q", "-q needs a value"),
        ("-l place=excl script.sh", "'script.sh' is no option of qsub"),
        ("-q workq -- hostname", "'-- hostname' is no option of qsub"),
        ("--version", "'--version' is no option of qsub"),
        ("-", "'-' is no option of qsub"),
        ("-é x", "is no option of qsub"),
        ("-v A='one", "is no option of qsub"),
        ("-v 'A=one", "-v needs a value"),
        ("-v A=one\\", "where the value of -v ends"),
        ('-v A=\\"one two\\"', "where the value of -v ends"),
    ],
)
def test_directives_that_break_a_session_are_refused(extra: str, why: str) -> None:
    """An array, a terminal, waiting for the end, what is no option at all: each with its reason."""
    for torque in (False, True):
        with pytest.raises(SpecError, match="cannot be used") as raised:
            list(directives(asking(extra), torque=torque))
        assert why in raised.value.message
        assert "Leave it out." == raised.value.hint


@pytest.mark.parametrize("extra", ["-W group_list=block", "-W depend=afterok:1.block", "-N block=true"])
def test_words_that_only_look_like_it_are_no_reason(extra: str) -> None:
    """A value that is called so blocks nothing."""
    list(directives(asking(extra)))


@pytest.mark.parametrize(
    ("resources", "hint"),
    [
        ({"walltime_s": 0}, "2h"),
        ({"partition": "a b"}, "sessionctl partitions"),
        ({"partition": "a\n#PBS -l x"}, "sessionctl partitions"),
        ({"account": "-x"}, "account"),
        ({"account": "$(id)"}, "account"),
        ({"qos": "high"}, "directive"),
        ({"nodes": 0}, ""),
        ({"cpus": -1}, ""),
        ({"tasks": 10**9}, ""),
        ({"memory": "lots"}, "16G"),
        ({"memory": "16 G"}, "16G"),
        ({"memory": "0"}, "16G"),
        ({"gpus": "0"}, "1 or 2"),
        ({"gpus": "a100:2"}, "as a directive"),
        ({"gpus": "a100:2:x"}, "1 or 2"),
        ({"extra": ("-l a=1\n-l b=2",)}, "by itself"),
        ({"extra": ("-l a=\x00",)}, "by itself"),
        ({"extra": ("-l a=\u2028b",)}, "by itself"),
        ({"extra": ("echo hello",)}, "-l place=excl"),
        ({"extra": ("-l a=1 # a comment",)}, "-l place=excl"),
        ({"extra": ("",)}, "-l place=excl"),
    ],
)
def test_what_is_no_directive_is_refused(resources: dict[str, object], hint: str) -> None:
    """Line breaks, control characters and nonsense, with a word what would be right."""
    for torque in (False, True):
        with pytest.raises(SpecError) as raised:
            list(directives(asking(**resources), torque=torque))
        assert hint in raised.value.hint


@pytest.mark.parametrize(
    ("extra", "partition", "queue"),
    [
        ([], "", ""),
        ([], "gpu", "gpu"),
        (["-q small"], "", "small"),
        (["-q 'small'", "-m n"], "", "small"),
        (["-q one", "-qtwo"], "", "two"),
        (["-q small"], "gpu", "gpu"),
    ],
)
def test_queue_is_known_however_it_was_said(extra: list[str], partition: str, queue: str) -> None:
    """As a resource, or as a directive, of which the last counts."""
    assert queue == queue_of(asking(*extra, partition=partition))


def quoted(value: str, how: str) -> str:
    """``value`` as a word of a directive: in either quotes, or with its blanks alone in them."""
    if how == "part":
        return "".join(f'"{part}"' if part.isspace() else part for part in re.split(r"(\s+)", value))
    return f"{how}{value}{how}"


PLAIN = st.text(
    st.characters(codec="utf-8", exclude_characters="\"'\\#", exclude_categories=["Cc", "Zl", "Zp"]), max_size=12
)
OPTIONS = st.tuples(
    st.sampled_from("hVfn"),
    st.just(""),
    st.just(""),
) | st.tuples(
    st.sampled_from("lqvWmAPNSMaprcu"),
    st.sampled_from(["", " ", "  "]),
    st.tuples(PLAIN.map(lambda text: f"x{text}"), st.sampled_from(["part", "'", '"'])),
)


@given(st.lists(OPTIONS, min_size=1, max_size=4))
@example([("v", " ", ("x=one two", "'")), ("l", "", ("x=1", '"')), ("v", "", ("xy=3", "part"))])
def test_accepted_directives_survive(options: list[tuple[str, str, tuple[str, str] | str]]) -> None:
    """What a shell makes of a value's quotes is the same before and after, of every option but those that are ours."""
    texts = [f"-{letter}{gap}{quoted(*value) if isinstance(value, tuple) else value}" for letter, gap, value in options]
    try:
        lines = list(directives(asking(" ".join(texts))))
    except SpecError:
        # Blanks that are no blanks to a shell.
        assert any(re.search(r"[^\x20-\x7e]", text) for text in texts)
        return
    said = [(letter, value[0] if isinstance(value, tuple) else "") for letter, _, value in options]
    words = [shlex.split(line) for line in lines]
    read = [(word[0], "".join(word[1:])) for word in words[: -len(OURS)]]
    assert [(f"-{letter}", value) for letter, value in said if letter not in "NSv"] == read
    variables = [value for letter, value in said if letter == "v"]
    assert [["-N", "sd-0123456789ab"], ["-v", ",".join([*variables, MARK])]] == words[-len(OURS) : -2]
    assert END == lines[-2:]


@given(st.text(st.sampled_from("-lqvWxz=,1 \"'\\ab#PBS"), max_size=30))
@example('-v A=\\"x y\\"')
@example("-v A=x\\")
def test_mark_survives_whatever_is_written(extra: str) -> None:
    """Refused, or our mark is where the list of variables ends, and everything is an option with its one value."""
    try:
        lines = list(directives(asking(extra)))
    except SpecError:
        return
    words = [shlex.split(line) for line in lines]
    assert ["-v"] == [word[0] for word in words if word[0].startswith("-v")]
    assert words[-3][1].endswith(MARK)
    assert all(len(word) <= 2 and re.fullmatch("-[A-Za-z]", word[0]) for word in words[:-2])


@given(st.lists(st.text(max_size=30), max_size=3))
def test_directives_are_lines(extra: list[str]) -> None:
    """Each is one line of comment in the script."""
    try:
        made = job_scripts(asking(*extra), ("bash",))
    except SpecError:
        return
    for name, torque in (("job.sh", False), ("job_torque.sh", True)):
        lines = list(directives(asking(*extra), torque=torque))
        text = made.get(name, made["job.sh"]).decode().split("\n")
        assert ["#PBS " + one for one in lines] == text[1 : 1 + len(lines)]
        assert text[1 + len(lines)].startswith("cd -- ")
