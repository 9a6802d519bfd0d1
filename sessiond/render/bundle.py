"""Everything that goes into a session's folder on its execution host."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import PurePosixPath

from sessiond.core.errors import SpecError
from sessiond.core.session import Session
from sessiond.core.spec import Mode
from sessiond.render.inputs import inputs_sh, secrets_sh
from sessiond.render.licence import licence_sh
from sessiond.render.ports import may_take_open_port, takes_open_port
from sessiond.render.quote import path, word

START = "start-template.sh"
KILL = "kill-template.sh"
NOTIFY = "notify.sh"


def bundle(session: Session, lib: Mapping[str, bytes]) -> Mapping[str, bytes]:
    """Relative path -> content of the session's folder.

    ``lib`` is the content of ``services/_lib`` by file name. Whoever writes the files makes them readable by their
    owner only, and ``utils/notify.sh`` executable: templates run it by its path.

    Raises SpecError for a service without start-template.sh, a service file that would lie outside the folder, and
    values that cannot be shell variables.
    """
    files = {
        "inputs.sh": inputs_sh(session),
        "secrets.sh": secrets_sh(session),
        "session.sh": session_sh(session),
        "kill.sh": kill_sh(session),
        f"utils/{NOTIFY}": lib[NOTIFY],
    }
    files |= {f"lib/{name}": content for name, content in lib.items() if name != NOTIFY}
    for file in session.spec.service.files:
        place = PurePosixPath(file.path)
        if place.is_absolute() or ".." in place.parts or not place.parts:
            raise SpecError(f"service {session.spec.service.name}: {file.path!r} lies outside its folder")
        files[f"service/{place}"] = file.content
    return files


def session_sh(session: Session) -> bytes:
    """The script that runs the service: what the template relies on, in the order it relies on, then its text."""
    spec = session.spec
    template = spec.service.file(START)
    if template is None:
        raise SpecError(f"service {spec.service.name} has no {START}", hint="every service folder needs one")
    # What its scheduler calls a node is what the login node can resolve; a node's own idea of its name may not be.
    host = "127.0.0.1" if spec.mode in (Mode.LOCAL, Mode.CONTROLLER) else '"${SESSIOND_NODE:-$(hostname)}"'
    tag = word(session.tag)
    return (
        "#!/bin/bash\n"
        f"export SESSIOND_JOBDIR={path(spec.jobdir)}\n"
        "# The mark must be in the environment the process began with: that is where it is looked for.\n"
        f'[ "${{SESSIOND_TAG-}}" = {tag} ] || SESSIOND_TAG={tag} exec bash "$SESSIOND_JOBDIR/session.sh"\n'
        f"{_may_listen_at(session)}"
        "# The watcher comes back from this line in a shell of the service's own, where the rest runs.\n"
        '. "$SESSIOND_JOBDIR/lib/watch.sh" || exit 1\n'
        '. "$SESSIOND_JOBDIR/inputs.sh" || exit 1\n'
        '. "$SESSIOND_JOBDIR/secrets.sh" || exit 1\n'
        f"export SESSIOND_HOST={host} SESSIOND_LISTEN={spec.listen} SESSIOND_SCHEME={spec.service.scheme}\n"
        "# What this cluster needs before every script.\n"
        f"{_lines(spec.setup)}"
        f"{_listens_at(session)}"
        "# Working directory, helper functions, the service's port, and word of where it will listen.\n"
        '. "$SESSIOND_JOBDIR/lib/prelude.sh" || exit 1\n'
        f"{licence_sh(spec.licence, spec.mode)}"
        'eval "${service_load_env-}"\n'
        f"# From here on: {START}, as it is.\n"
    ).encode() + template.content


def kill_sh(session: Session) -> bytes:
    """The script that ends what the template began; it sees what the template saw in inputs.sh and secrets.sh.

    What it leaves running bears the session's mark, so that it is ended with the session.
    """
    jobdir = path(session.spec.jobdir)
    template = session.spec.service.file(KILL)
    head = (
        f"#!/bin/bash\nunset SESSIOND_RUN\ncd {jobdir} || exit 1\n"
        ". ./inputs.sh || exit 1\n. ./secrets.sh || exit 1\n. ./lib/kill.sh || exit 1\n"
    )
    if template is None:
        return f"{head}true\n".encode()
    return f"{head}# From here on: {KILL}, as it is.\n".encode() + template.content


def _may_listen_at(session: Session) -> str:
    """Tells the watcher of another port that the service may turn out to listen on."""
    return f"export SESSIOND_OPEN_PORT={session.open_port}\n" if may_take_open_port(session.spec.service) else ""


def _listens_at(session: Session) -> str:
    """The port of a service that knows no other one."""
    if session.spec.params.get("servicePort") or not takes_open_port(session.spec.service):
        return ""
    return "# The service's scripts name no port but the session's own.\nservicePort=$openPort\n"


def _lines(text: str) -> str:
    return text if not text or text.endswith("\n") else text + "\n"
