"""What the canned daemon has to say: JSON as `sessiond.api.wire` describes it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from sessiond import __version__

TOKEN = "wJ8mAoC2ZQyTnN4c0H1fKxGd5e7RbUvL"
ESCAPES = "\x1b]0;owned\x07\x1b[2Jred\u202e"

PATHS: dict[str, list[tuple[str, str | None, str, str]]] = {
    "quick": [
        ("render", None, "preparing its files", "busy"),
        ("start", None, "starting the service", "busy"),
        ("running", None, "running", "ok"),
    ],
    "doomed": [
        ("start", None, "starting the service", "busy"),
        ("ended", "failed", "failed: it ended before it answered", "error"),
    ],
    "slow": [("start", None, "starting the service", "busy")],
    "jupyterlab-host": [("running", None, "running", "ok")],
}
"""The states a started session goes through, by its service: state, outcome, phrase, severity."""


def ago(**span: float) -> str:
    """A time in the past, as the API writes it."""
    return (datetime.now(UTC) - timedelta(**span)).strftime("%Y-%m-%dT%H:%M:%S.000Z")


def session(name: str, number: int, **known: Any) -> dict[str, Any]:
    """A session that runs on this machine, but for what is ``known`` to be otherwise."""
    port = 50000 + number
    return {
        "id": f"k3f9q2m7x{number:03d}",
        "name": name,
        "number": number,
        "service": "jupyterlab-host",
        "workflow": "",
        "cluster": "local",
        "mode": "local",
        "state": "running",
        "outcome": None,
        "phrase": "running",
        "next": "",
        "severity": "ok",
        "since": ago(hours=3, minutes=12, seconds=30),
        "url": f"http://127.0.0.1:8700/me/{port}/lab?token={TOKEN}",
        "open_port": port,
        "service_port": 41234,
        "service_path": None,
        "node": None,
        "job_id": f"{4000 + number}",
        "job_phase": "running",
        "queue_reason": None,
        "expected_start": None,
        "ends_by": None,
        "idle_ends_by": None,
        "attempt": 1,
        "problem": None,
        "link": {"state": "up", "since": None},
        "licence": None,
        "observed_age_s": 2.0,
        "folder": f"/state/sessions/k3f9q2m7x{number:03d}",
        "created": ago(hours=3, minutes=13, seconds=30),
        "ended": None,
        **known,
    }


def first_sessions() -> list[dict[str, Any]]:
    """What is there before anybody starts anything: the ordinary, the long, the ended and the hostile."""
    return [
        session("jl", 1),
        session(
            "simulation-of-the-north-sea",
            2,
            cluster="frontier",
            mode="slurm",
            node=None,
            state="wait-for-node",
            phrase="waiting for a node: 17 jobs of higher priority are before it (Priority)",
            next="It starts when a node is free; nothing is to be done.",
            severity="busy",
            url=None,
            service_port=None,
            job_phase="queued",
            queue_reason="Priority",
            ends_by=(datetime.now(UTC) + timedelta(hours=5, minutes=30, seconds=30)).isoformat(),
        ),
        session(f"evil{ESCAPES}", 3, phrase=f"running{ESCAPES}", severity="attention", service=f"shell{ESCAPES}"),
        session(
            "lost",
            4,
            state="ended",
            outcome="failed",
            phrase="failed: the service ended with status 1",
            severity="error",
            problem={
                "code": "service-failed",
                "message": "The service ended with status 1 before it answered.",
                "hint": "Its log says more: sessionctl logs lost",
            },
            ended=ago(days=2, hours=3, minutes=30),
            since=ago(days=2, hours=3, minutes=30),
            service_port=None,
            observed_age_s=None,
        ),
    ]


SERVICES: list[dict[str, Any]] = [
    {
        "name": "jupyterlab-host",
        "title": "JupyterLab",
        "description": "Notebooks, consoles and a terminal in the browser, with kernels where the data is",
        "folder": "/services/jupyterlab-host",
        "params": [
            {
                "name": "notebook_dir",
                "label": "Folder",
                "help": "where the file browser begins",
                "type": "text",
                "default": "~",
                "options": [],
                "required": False,
                "secret": False,
            },
            {
                "name": "theme",
                "label": "",
                "help": "",
                "type": "text",
                "default": "",
                "options": ["light", "dark"],
                "required": True,
                "secret": False,
            },
        ],
        "workflows": ["jupyterlab-host/general"],
        "thumbnail": "/v1/services/jupyterlab-host/thumbnail",
        "problems": [],
        "last": {"theme": f"light{ESCAPES}"},
    },
    {
        "name": "broken",
        "title": "",
        "description": "",
        "folder": "/services/broken",
        "params": [],
        "workflows": [],
        "thumbnail": "",
        "last": {},
        "problems": ["It has no start-template.sh.", "service.toml:3: expected a string"],
    },
]


def cluster(name: str, **known: Any) -> dict[str, Any]:
    """A cluster that is connected, but for what is ``known`` to be otherwise."""
    link = {
        "state": "up",
        "since": None,
        "attempts": 1,
        "phrase": "connected",
        "next": "",
        "severity": "ok",
        "problem": None,
    }
    return {
        "name": name,
        "scheduler": "slurm",
        "host": f"{name}-login.example.org",
        "observed_age_s": 14.0,
        "looks": 200,
        "commands": 230,
        **known,
        "link": link | known.get("link", {}),
    }


CLUSTERS = [
    cluster(
        "local",
        scheduler="process",
        host="",
        link={"phrase": "this machine", "attempts": 0},
        observed_age_s=1.0,
        looks=0,
        commands=0,
    ),
    cluster("frontier"),
    cluster(
        "summit",
        scheduler="pbs",
        link={
            "state": "backoff",
            "attempts": 17,
            "phrase": "unreachable for 3 min: no answer within 20 s",
            "next": "tried again by itself in 12 s; check the network",
            "severity": "attention",
        },
        observed_age_s=200.0,
    ),
    cluster(
        "alps",
        host=f"alps{ESCAPES}",
        link={
            "state": "needs-login",
            "phrase": f"needs a login: it asks for a password{ESCAPES}",
            "next": "sessionctl login alps",
            "severity": "attention",
        },
        observed_age_s=None,
        commands=0,
    ),
]

CHECKS = [
    {"what": "reach", "ok": "ok", "finding": "reached; a command takes 42 ms", "remedy": ""},
    {"what": "clock", "ok": "warn", "finding": f"its clock is 90 s ahead{ESCAPES}", "remedy": "have both use NTP"},
    {"what": "tools", "ok": "bad", "finding": "not there: base64", "remedy": "have them installed there"},
]


def _partition(name: str, text: str, **facts: Any) -> dict[str, Any]:
    usual = {"default": False, "takes": True, "starts": True, "longest_s": 3600, "nodes": 2}
    return {"name": name, "text": text, **usual, **facts}


def partitions(cluster: str) -> dict[str, Any]:
    """What there is to choose from: in every state, none yet, none at all."""
    known: dict[str, Any] = {
        "kind": "",
        "known": False,
        "asking": False,
        "age_s": None,
        "usual": "",
        "partitions": [],
        "code": "",
        "why": "",
        "hint": "",
        "remarks": {"partition": "", "time": ""},
    }
    if cluster == "frontier":
        found = [
            _partition("batch", "default, up to 1:00:00, 2 nodes", default=True),
            _partition("gpu", f"up to 14 days{ESCAPES}, 8 nodes"),
            _partition("old", "takes no jobs now, up to 1:00:00, 2 nodes", takes=False),
            _partition("bare", "", longest_s=None, nodes=None),
        ]
        known |= {"kind": "partition", "known": True, "age_s": 7200.0, "usual": "gpu", "partitions": found}
        known |= {"why": "sinfo does not answer: Unable to contact slurm controller"}
    elif cluster != "local":
        problem = {"code": "needs-login", "why": f"{cluster} needs a login", "hint": f"sessionctl login {cluster}"}
        known |= {"kind": "queue", **problem}
    return known


LOGINS: dict[str, list[dict[str, Any]]] = {
    "frontier": [
        {
            "title": f"Welcome to frontier{ESCAPES}",
            "instructions": "Two factors are asked.",
            "questions": [{"text": "Password: ", "echo": False}],
            "right": ["sécret"],
        },
        {
            "title": "",
            "instructions": "",
            "questions": [{"text": f"Code{ESCAPES}: ", "echo": True}],
            "right": ["42"],
        },
    ],
    "summit": [{"title": "Read this.", "instructions": "", "questions": [], "right": []}],
    "alps": [
        {"title": "", "instructions": "", "questions": [{"text": "Password: ", "echo": False}], "right": None},
    ],
}
"""What each cluster asks, round after round. Where nothing is right, the time is over before anything is answered."""


def ssh_access(one: dict[str, Any]) -> dict[str, Any]:
    """How one would log in where a session runs."""
    known: dict[str, Any] = {
        "host": "login.example.org",
        "port": None,
        "user": None,
        "identity_files": [],
        "known_hosts": None,
    }
    same = {key: one[key] for key in ("id", "name", "cluster", "mode", "node", "folder")}
    return known | same | {"host_keys": []}


def plan(body: dict[str, Any]) -> dict[str, Any]:
    """A plan that shows what was asked for."""
    return {
        "service": body["service"],
        "cluster": body.get("cluster", "local"),
        "mode": body.get("mode", "local"),
        "folder": "/home/me/sessiond/k3f9q2m7x0ab",
        "files": {
            "inputs.sh": f"service_name='{body['service']}'\n",
            "session.sh": "#!/bin/bash\n\ttrue \x1b[2J\n",
            "lib/watch.sh": "trap sessiond_publish EXIT\n",
            "run.sh": "#!/bin/sh\n",
        },
        "submit": "setsid bash run.sh",
        "scheduler": "",
        "ports": {"openPort": "50007", "servicePort": "a free one"},
        "licences": "",
        "url": "http://127.0.0.1:8700/me/50007/",
    }


def story(one: dict[str, Any]) -> dict[str, Any]:
    """A story with a bad end where the session has one."""
    ended = one["state"] == "ended"
    return {
        "session": one,
        "lines": [
            {"at": ago(hours=3, minutes=13), "text": "You started it.", "state": "render"},
            {"at": ago(hours=3, minutes=12), "text": f"The service was started. {ESCAPES}", "state": "start"},
        ],
        "next": "" if ended else "It goes on until you stop it.",
        "evidence": [f"its script's exit record: status 1 {ESCAPES}"] if ended else [],
        "log": ["Traceback (most recent call last):", f"OSError: address in use {ESCAPES}"] if ended else [],
    }


def status() -> dict[str, Any]:
    """A daemon that has run for a day."""
    return {
        "version": __version__,
        "pid": 4711,
        "started": ago(days=1, hours=2, minutes=30),
        "sessions": {"running": 2, "wait-for-node": 1, "ended": 1},
        "clusters": CLUSTERS[:1],
        "gateway": "127.0.0.1:8700",
        "state_dir": "/state",
        "socket": "/run/api.sock",
        "config": "/config.toml",
        "warnings": ["The disk is nearly full."],
    }


def _field(name: str, **facts: Any) -> dict[str, Any]:
    usual: dict[str, Any] = {
        "name": name,
        "variable": name.replace(".", "_").removeprefix("pwrl_host_"),
        "section": "Service",
        "label": "",
        "help": "",
        "type": "text",
        "default": "",
        "options": [],
        "min": None,
        "max": None,
        "multiple": False,
        "required": False,
        "secret": False,
        "when": "",
        "asks": "",
    }
    return usual | facts


def workflows() -> list[dict[str, Any]]:
    """A form with one field of each kind, and one that cannot be used."""
    host = {"section": "Where it runs", "when": "pwrl_host.jobschedulertype is SLURM"}
    some = [{"value": "light", "label": "Light", "when": ""}, {"value": "dark", "label": "Dark", "when": "it is night"}]
    return [
        {
            "name": "jupyterlab-host/general",
            "title": "Notebooks",
            "description": f"# Notebooks\n\nOn a node{ESCAPES},\nfor those\nwho compute. More of it.\n\n* one\n* two",
            "service": "jupyterlab-host",
            "file": "/services/jupyterlab-host/workflows/general.xml",
            "params": [
                _field("service.name", type="hidden", default="jupyterlab-host"),
                _field("service.dir", label="Folder", help="where it begins", default="~"),
                _field("service.theme", type="select", label=f"Theme{ESCAPES}", default="light", options=some),
                _field("service.extras", type="select", multiple=True, options=some[:1]),
                _field("service.password", label="Password", secret=True),
                _field("service.token", type="hidden", secret=True),
                _field("service.conda", type="boolean", label="Use conda", default="false"),
                _field("pwrl_host.resource", type="resource", section="Where it runs"),
                _field("pwrl_host.cpus", type="integer", label="Processors", min=1, max=10, required=True, **host),
                _field("pwrl_host.mem", type="hidden", default="8G", **host),
            ],
            "thumbnail": "/v1/workflows/jupyterlab-host/general/thumbnail",
            "problems": [],
            "warnings": [],
            "last": {"service.theme": f"dark{ESCAPES}"},
        },
        {
            "name": "webshell/broken",
            "title": "broken",
            "description": "",
            "service": "webshell",
            "file": "/services/webshell/workflows/broken.xml",
            "params": [],
            "thumbnail": "",
            "problems": ["webshell/broken.xml:7: it is not well-formed XML: mismatched tag"],
            "warnings": [],
            "last": {},
        },
    ]
