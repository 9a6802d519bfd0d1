"""``qdel``, ``qselect``, ``qalter``, ``qsig``, ``qhold``, ``qrls`` and ``qrerun``."""

from __future__ import annotations

from .command import Done, Place, down, each_job, full_id, is_id, options
from .errors import Code, Refused, status
from .qsub import Wrong, alter_attributes
from .wire import Down

_QDEL_USAGE = """\
usage:
	qdel [-W force|suppress_email=X] [-x] job_identifier...
	qdel --version
"""


def qdel(place: Place, words: list[str]) -> Done:
    """Delete jobs. All are asked for at once, and of what goes wrong only the first is said (measured, 23.06.06)."""
    found, rest, said = options("qdel", words, "W:x")
    if said or not rest:
        return Done(err=said + _QDEL_USAGE, status=2)
    done = Done()
    question = {"do": "delete", "force": ("W", "force") in found, "history": ("x", "") in found}
    for word in rest:
        if not is_id(word):
            return done.fail(f"qdel: illegally formed job identifier: {word}", 1)
    for word in rest:
        name = full_id(word, place.server)
        try:
            place.ask({**question, "job": name})
        except Refused as error:
            if not done.status:
                done.fail(f"qdel: {error.said} {name}", status(error.code))
        except Down:
            done.err += "Connection refused\n"
            return done.fail(f"Couldn't connect to cluster: {place.server}", status(Code.SYSTEM))
    return done


def qselect(place: Place, words: list[str]) -> Done:
    """List ids."""
    found, rest, said = options("qselect", words, "a:A:c:h:HJl:N:p:P:q:r:s:t:Tu:x")
    if said or rest:
        return Done(
            err=f"{said}usage: qselect [-A account] [-N name] [-q queue] [-s states] [-u users] [-x]\n", status=2
        )
    wanted = {letter: value for letter, value in found if letter in "ANqsu"}
    if ("H", "") in found:
        wanted["s"] = "FM"
    history = any(letter in "xH" for letter, _ in found)
    try:
        answer = place.ask({"do": "select", "wanted": wanted, "history": history})
    except Refused as error:
        # it ends well although the server refused
        code = 0 if error.code == Code.JOBHISTNOTSET else status(error.code)
        return Done().fail(f"qselect: {error.said}", code)
    except Down:
        return down(Done(), place, "qselect")
    return Done(out="".join(f"{name}\n" for name in answer["ids"]))


def qalter(place: Place, words: list[str]) -> Done:
    """Change jobs."""
    found, rest, said = options("qalter", words, "a:A:c:e:h:j:k:l:m:M:N:o:p:P:r:R:S:u:v:W:")
    if said or not rest:
        return Done(
            err=f"{said}usage: qalter [-a date_time] [-A account] [-l resources] ... job_identifier...\n", status=2
        )
    try:
        attributes = alter_attributes(place, found)
    except Wrong as error:
        return Done().fail(error.said.replace("qsub:", "qalter:"), 2)
    return each_job(place, "qalter", rest, {"do": "alter", "attributes": attributes})


def qsig(place: Place, words: list[str]) -> Done:
    """Signal jobs; to suspend and resume is for those who run the server."""
    found, rest, said = options("qsig", words, "s:")
    if said or not rest:
        return Done(err=f"{said}usage: qsig [-s signal] job_identifier...\n", status=2)
    return each_job(place, "qsig", rest, {"do": "signal", "signal": dict(found).get("s", "SIGTERM")})


def qhold(place: Place, words: list[str]) -> Done:
    """Hold jobs."""
    return _simple(place, "qhold", words, "h:", "hold")


def qrls(place: Place, words: list[str]) -> Done:
    """Release jobs."""
    return _simple(place, "qrls", words, "h:", "release")


def qrerun(place: Place, words: list[str]) -> Done:
    """Requeue running jobs; for those who run the server."""
    return _simple(place, "qrerun", words, "W:", "rerun")


def _simple(place: Place, program: str, words: list[str], known: str, what: str) -> Done:
    _, rest, said = options(program, words, known)
    if said or not rest:
        return Done(err=f"{said}usage: {program} job_identifier...\n", status=2)
    return each_job(place, program, rest, {"do": what})
