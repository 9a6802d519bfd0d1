"""Sessions that were started through forms, by a real daemon."""

from __future__ import annotations

import shutil

from . import services
from .workspace import Workspace

FORM = r"""<tool id="tell" name="Telling">
  <inputs>
    <section name="service" title="Service">
      <param name="name" type="hidden" value="telling"/>
      <param name="bin" type="hidden" value="echo \&quot;a  b\&quot; \$HOME"/>
      <param name="dir" type="text" label="Folder" value="$HOME/notes of __user__"/>
      <param name="size" type="integer" label="Size" min="1" max="9" value="3"/>
      <param name="password" type="text" label="Password" value=""/>
      <param name="shown" type="boolean" truevalue="Yes" falsevalue="No" checked="False"/>
      <param name="extra" type="text" value="more" show_if="service.shown"/>
    </section>
    <section name="pwrl_host" title="Where">
      <param name="resource" type="computeResource"/>
      <param name="jobschedulertype" type="select"><option value="SLURM"/><option value="CONTROLLER"/></param>
      <param name="_sch__dd_partition_e_" type="text" value="x"
             depends_on="pwrl_host.jobschedulertype" show_if="SLURM"/>
    </section>
  </inputs>
</tool>
"""
TELL = (
    'printf "%s|" "$service_bin" "$service_dir" "$service_size" "$service_password" "$service_shown" \\\n'
    '  "${service_extra-none}" "$jobschedulertype" "$workflow_name" "${_sch__dd_partition_e_-none}" >"$HOME/told"\n'
)


def furnished(workspace: Workspace) -> None:
    """A service that tells its variables, with a form, and with one that cannot be read."""
    folder = workspace.services / "telling"
    services.write(folder, f"{TELL}exec {services.SERVE}\n")
    (folder / "workflows").mkdir()
    (folder / "workflows" / "tell.xml").write_text(FORM)
    (folder / "workflows" / "bad.xml").write_text("<tool><inputs>")


def told(workspace: Workspace) -> list[str]:
    """What the service found in its variables."""
    return (workspace.home / "told").read_text().split("|")[:-1]


def test_a_session_through_a_form(workspace: Workspace) -> None:
    """Its service runs with the form's values: the author's as shell text, the person's as data."""
    furnished(workspace)
    workspace.daemon()
    hostile = 'it\'s "$HOME" `id` $(id) \\ ~ *'
    args = ("--set", f"service.dir={hostile}", "--set", "service_size=7", "--set", "service.password=s3cr$t")
    done = workspace.ctl("start", "tell", *args, "--name", "mine")
    assert 0 == done.status, done.err
    session = workspace.client.session("mine")
    assert ("telling", "telling/tell", "local") == (session["service"], session["workflow"], session["mode"])
    assert told(workspace) == [
        'echo "a  b" $HOME',
        hostile,
        "7",
        "s3cr$t",
        "false",
        "none",
        "CONTROLLER",
        "tell",
        "none",
    ]
    assert "s3cr$t" not in workspace.ctl("plan", "tell", *args).out
    quoted = workspace.ctl("plan", "tell", "--set", "service.password=it's mine")
    assert (0, False) == (quoted.status, "s mine" in quoted.out)


def test_what_is_wrong_is_told_at_once_and_nothing_is_begun(workspace: Workspace) -> None:
    """Values and forms: status, sentences, a hint; a bad form leaves the others alone."""
    furnished(workspace)
    workspace.daemon()
    done = workspace.ctl("start", "tell", "--set", "service.size=10", "--set", "service.extra=x", "--set", "nope=1")
    assert (2, "") == (done.status, done.out)
    for words in ("a whole number from 1 up to 9", "asked for only where service.shown is true", "ask for nope"):
        assert words in done.err
    done = workspace.ctl("start", "telling/bad")
    assert (6, True) == (done.status, "telling/bad.xml:1: it is not well-formed XML" in done.err)
    assert [] == workspace.client.sessions(all=True)
    shutil.rmtree(workspace.services / "telling" / "workflows")
    assert 3 == workspace.ctl("start", "tell").status


def test_again(workspace: Workspace) -> None:
    """The values of the last time, but for what is said now, and never a password; also after the daemon's end."""
    furnished(workspace)
    daemon = workspace.daemon()
    done = workspace.ctl("start", "tell", "--again")
    assert (2, True) == (done.status, "tell was not started before" in done.err)
    first = ("--set", "service_dir=/a b", "--set", "service.shown=yes", "--set", "service.password=sesame")
    assert 0 == workspace.ctl("start", "telling/tell", *first, "--name", "one").status
    daemon.kill()
    workspace.daemon()
    last = workspace.client.workflow("tell")["last"]
    assert {"service.dir": "/a b", "service.shown": "yes"} == last
    assert "--again` once more:\n  service.dir    /a b\n" in workspace.ctl("workflow", "show", "tell").out
    done = workspace.ctl("start", "tell", "--again", "--set", "service.size=5", "--name", "two")
    assert 0 == done.status, done.err
    assert ["/a b", "5", "", "true", "more"] == told(workspace)[1:6]
    assert {*last, "service.size"} == workspace.client.workflow("tell")["last"].keys()
    assert "sesame" not in workspace.ctl("workflow", "show", "tell", "--json").out


def test_a_service_again(workspace: Workspace) -> None:
    """Services without a form remember, too; what they do not know any more is passed over."""
    workspace.daemon()
    assert 0 == workspace.ctl("start", "strict", "--set", "service_colour=blue", "--name", "one").status
    plan = workspace.ctl("plan", "strict", "--again", "--set", "service_size=4").out
    assert "export service_colour='blue'" in plan
    assert "export service_size='4'" in plan
    (workspace.services / "strict" / "service.toml").write_text("[params.other]\n")
    assert "blue" not in workspace.ctl("plan", "strict", "--again").out
    assert 3 == workspace.ctl("plan", "nothing", "--again").status
