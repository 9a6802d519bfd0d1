"""``qsub``: options, the directives in a script's head, and what the server is asked for."""

from __future__ import annotations

import contextlib
import shlex
import time
from collections.abc import Iterator
from pathlib import Path

from .attributes import Attributes
from .command import Done, Place, down, options
from .errors import Refused, status
from .wire import Down

_OPTIONS = "a:A:c:C:e:fhIj:J:k:l:m:M:N:o:p:P:q:r:R:S:u:v:VW:Xz"
_LONGEST_NAME = 230
_USAGE = """\
usage: qsub [-a date_time] [-A account_string] [-c interval]
	[-C directive_prefix] [-e path] [-f ] [-h ] [-I [-X]] [-j oe|eo] [-J X-Y[:Z]]
	[-k keep] [-l resource_list] [-m mail_options] [-M user_list]
	[-N jobname] [-o path] [-p priority] [-P project] [-q queue] [-r y|n]
	[-R o|e|oe] [-S path] [-u user_list] [-W otherattributes=value...]
	[-v variable_list] [-V ] [-z] [script | -- command [arg1 ...]]
       qsub --version
"""
_SIMPLE = {
    "A": "Account_Name",
    "j": "Join_Path",
    "k": "Keep_Files",
    "m": "Mail_Points",
    "M": "Mail_Users",
    "p": "Priority",
    "P": "project",
    "q": "queue",
    "S": "Shell_Path_List",
    "u": "User_List",
}
_OTHER = {"depend": "depend", "block": "block", "umask": "umask", "group_list": "group_list", "sandbox": "sandbox"}


class Wrong(Exception):
    """An option's value that qsub itself does not take; ``with_usage``: it says how it is used."""

    def __init__(self, said: str, *, with_usage: bool = True) -> None:
        self.said = said
        self.with_usage = with_usage
        super().__init__(said)


class Wishes:
    """What options ask for; those of the command line come after those of the script, and win."""

    def __init__(self, place: Place) -> None:
        self.place = place
        self.attributes: Attributes = {}
        self.variables: dict[str, str] = {}
        self.paths: dict[str, str] = {}
        self.everything = self.is_silent = False

    def take(self, letter: str, value: str) -> None:
        """One option. Raises Wrong."""
        if letter in _SIMPLE:
            self.attributes[_SIMPLE[letter]] = value
        elif letter == "N":
            self.attributes["Job_Name"] = _name(value)
        elif letter == "l":
            self.attributes |= {f"Resource_List.{name}": wanted for name, wanted in _pairs(value, "-l")}
        elif letter == "v":
            self.variables = dict(_variables(value, self.place))
        elif letter in "oe":
            self.paths[letter] = value
        elif letter == "h":
            self.attributes["Hold_Types"] = "u"
        elif letter == "r":
            if value not in ("y", "n"):
                raise Wrong("qsub: illegal -r value")
            self.attributes["Rerunable"] = str(value == "y")
        elif letter == "a":
            self.attributes["Execution_Time"] = str(_moment(value))
        elif letter == "W":
            self._other(value)
        elif letter in "IJ":
            raise Wrong(f"qsub: illegal -{letter} value")
        self.everything |= letter == "V"
        self.is_silent |= letter == "z"

    def _other(self, value: str) -> None:
        for name, wanted in _pairs(value, "-W"):
            if name not in _OTHER:
                raise Wrong("qsub: illegal -W value")
            if name == "block":
                self.attributes.pop("block", None)
                if wanted.lower() in ("true", "t", "1", "y"):
                    self.attributes["block"] = "True"
            else:
                self.attributes[_OTHER[name]] = wanted


def alter_attributes(place: Place, found: list[tuple[str, str]]) -> Attributes:
    """The attributes that qalter's options ask for. Raises Wrong."""
    wishes = Wishes(place)
    for letter, value in found:
        wishes.take(letter, value)
    paths = {"o": "Output_Path", "e": "Error_Path"}
    return wishes.attributes | {paths[letter]: _path(place, path) for letter, path in wishes.paths.items()}


def qsub(place: Place, words: list[str]) -> Done:
    """The command."""
    found, rest, said = options("qsub", words, _OPTIONS)
    done = Done(err=said)
    if said:
        return _used(done)
    wishes = Wishes(place)
    try:
        script = _script(place, rest)
        if script is None:
            return done.fail("qsub: script file:: No such file or directory", 1)
        if "\r\n" in script:
            return done.fail("qsub: script contains cr, lf", 1)
        prefix = next((value for letter, value in found if letter == "C"), place.environ.get("PBS_DPREFIX", "#PBS"))
        for letter, value in [*_directives(script, prefix), *found]:
            wishes.take(letter, value)
    except Wrong as error:
        done.fail(error.said, 2)
        return _used(done) if error.with_usage else done
    name = wishes.attributes.setdefault("Job_Name", Path(rest[0]).name[:15] if rest and rest[0] != "-" else "STDIN")
    attributes = wishes.attributes | _of_place(place, wishes)
    for letter, attribute in (("o", "Output_Path"), ("e", "Error_Path")):
        attributes[attribute] = _path(place, wishes.paths.get(letter, f"{name}.{letter}$NUMBER"))
    if words:
        attributes["Submit_arguments"] = " ".join(words)
    question = {"do": "submit", "attributes": attributes, "variables": wishes.variables, "script": script}
    try:
        answer = place.ask(question)
    except Refused as error:
        return done.fail(f"qsub: {error.said}", status(error.code))
    except Down:
        return down(done, place, "qsub")
    if answer.get("lost"):
        return Done(lost=answer["lost"])
    if not wishes.is_silent:
        done.out = f"{answer['job']}\n"
    if "block" in attributes:
        done.status = _block(place, answer["job"])
    return done


def _used(done: Done) -> Done:
    done.err += _USAGE
    done.status = 2
    return done


def _block(place: Place, job: str) -> int:
    try:
        return int(place.ask({"do": "wait", "job": job})["status"])
    except (Refused, Down):
        return 2


def _script(place: Place, rest: list[str]) -> str | None:
    if not rest or rest[0] == "-":
        return place.read().decode(errors="surrogateescape")
    try:
        return (Path(place.folder) / rest[0]).read_bytes().decode(errors="surrogateescape")
    except OSError:
        return None


def _directives(script: str, prefix: str) -> Iterator[tuple[str, str]]:
    """The options in a script's head, which ends with the first line that a shell would heed. Raises Wrong."""
    for line in script.split("\n"):
        text = line.strip()
        if prefix and text.startswith(prefix):
            try:
                words = shlex.split(text[len(prefix) :], comments=True)
            except ValueError:
                raise Wrong(f"qsub: directive error: {text[len(prefix) :].strip()}") from None
            found, rest, said = options("qsub", words, _OPTIONS)
            if said or rest:
                raise Wrong(f"{said}qsub: directive error: {text[len(prefix) :].strip()}")
            yield from found
        elif text and not text.startswith(("#", ":")):
            return


def _of_place(place: Place, wishes: Wishes) -> Attributes:
    known = {
        "PBS_O_HOME": "HOME",
        "PBS_O_LANG": "LANG",
        "PBS_O_LOGNAME": "LOGNAME",
        "PBS_O_PATH": "PATH",
        "PBS_O_MAIL": "MAIL",
        "PBS_O_SHELL": "SHELL",
        "PBS_O_TZ": "TZ",
    }
    listed = {name: place.environ[source] for name, source in known.items() if source in place.environ}
    listed |= {"PBS_O_INTERACTIVE_AUTH_METHOD": "resvport", "PBS_O_INTERACTIVE_ENCRYPT_METHOD": ""}
    listed |= {"PBS_O_WORKDIR": place.folder, "PBS_O_SYSTEM": "Linux"}
    if wishes.everything:
        wishes.variables = {**place.environ, **wishes.variables}
    shown = {name: value.replace("\\", "\\" * 4).replace(",", "\\,") for name, value in wishes.variables.items()}
    return {
        "Job_Owner": f"{place.user}@{place.host}",
        "Submit_Host": place.host,
        "Variable_List": ",".join(f"{name}={value}" for name, value in {**listed, **shown}.items()),
    }


def _name(value: str) -> str:
    if not value or any(letter.isspace() or not letter.isprintable() for letter in value):
        raise Wrong("qsub: illegal -N value")
    if len(value) > _LONGEST_NAME:
        # with a blank at its end
        raise Wrong("qsub: Job name is too long ", with_usage=False)
    return value


def _path(place: Place, path: str) -> str:
    host, colon, rest = path.partition(":")
    if not colon or "/" in host:
        host, rest = place.host, path
    return f"{host}:{rest if rest.startswith('/') else f'{place.folder}/{rest}'}"


def _pairs(value: str, option: str) -> Iterator[tuple[str, str]]:
    for piece in _pieces(value):
        name, equals, wanted = piece.partition("=")
        if not equals or not name.strip():
            raise Wrong(f"qsub: illegal {option} value")
        yield name.strip(), wanted.strip()


def _variables(value: str, place: Place) -> Iterator[tuple[str, str]]:
    for piece in _pieces(value):
        name, equals, given = piece.partition("=")
        yield name, given if equals else place.environ.get(name, "")


def _pieces(value: str) -> Iterator[str]:
    """What commas part, but for those within quotes or behind a backslash; the quotes are gone then."""
    piece, quote, escaped = "", "", False
    for letter in value:
        if escaped:
            piece += letter if letter in ",\"'" else f"\\{letter}"
            escaped = False
        elif letter == "\\":
            escaped = True
        elif quote:
            quote = "" if letter == quote else quote
            piece += "" if not quote else letter
        elif letter in "\"'":
            quote = letter
        elif letter == ",":
            yield piece
            piece = ""
        else:
            piece += letter
    yield piece + ("\\" if escaped else "")


def _moment(value: str) -> int:
    """``[[[[CC]YY]MM]DD]hhmm[.SS]``; what is not said is as today. Raises Wrong."""
    digits, _, second = value.partition(".")
    now = time.localtime()
    with contextlib.suppress(ValueError):
        if len(digits) in (4, 6, 8, 10, 12):
            today = time.strftime("%Y%m%d", now)
            whole = today[: 12 - len(digits)] + digits
            return int(time.mktime(time.strptime(whole + (second or "00"), "%Y%m%d%H%M%S")))
    raise Wrong("qsub: illegal -a value")
