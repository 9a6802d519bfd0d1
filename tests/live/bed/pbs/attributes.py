"""What PBS says of a job, a queue or a server: names with texts, in the order in which PBS prints them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

Attributes = dict[str, str]
"""Such as ``{"job_state": "R", "Resource_List.ncpus": "4"}``; times are seconds since 1970, in digits."""

VERSION = "23.06.06"

ORDER = (
    "Job_Name",
    "Job_Owner",
    "resources_used",
    "job_state",
    "queue",
    "server",
    "Account_Name",
    "Checkpoint",
    "ctime",
    "depend",
    "Error_Path",
    "exec_host",
    "exec_vnode",
    "Execution_Time",
    "group_list",
    "Hold_Types",
    "Join_Path",
    "Keep_Files",
    "Mail_Points",
    "Mail_Users",
    "mtime",
    "Output_Path",
    "Priority",
    "qtime",
    "Rerunable",
    "Resource_List",
    "stime",
    "obittime",
    "Shell_Path_List",
    "session_id",
    "jobdir",
    "substate",
    "Variable_List",
    "comment",
    "etime",
    "umask",
    "block",
    "run_count",
    "Stageout_status",
    "Exit_status",
    "Submit_arguments",
    "array",
    "array_state_count",
    "array_indices_submitted",
    "array_indices_remaining",
    "estimated",
    "history_timestamp",
    "project",
    "Submit_Host",
)
"""A job's attributes as they are printed; what stands before the dot of a resource is its attribute."""

TIMES = frozenset({"ctime", "Execution_Time", "mtime", "qtime", "stime", "obittime", "etime", "estimated.start_time"})
"""The attributes that are moments, printed as ctime(3) says them in the time zone of whoever asks."""

_PLACE = {name: place for place, name in enumerate(ORDER)}


def in_order(attributes: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    """A job's attributes in the order of PBS; those of one resource list by their names."""
    return iter(sorted(attributes.items(), key=lambda pair: (_PLACE.get(pair[0].partition(".")[0], 99), pair[0])))


def variables(text: str) -> Iterator[tuple[str, str]]:
    """The names and values of a Variable_List; a comma that belongs to a value is behind a backslash."""
    piece, escaped = "", False
    for letter in [*text, ","]:
        if letter == "," and not escaped:
            name, _, value = piece.partition("=")
            yield name, value
            piece = ""
        else:
            piece = piece[:-1] + letter if letter == "," else piece + letter
        escaped = letter == "\\" and not escaped
