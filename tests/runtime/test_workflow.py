"""From a request for a workflow to a session: the mode, what is asked of the scheduler, the service, the variables."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import pytest

from sessiond.config.catalogue import Catalogue
from sessiond.core.errors import Conflict, NotFound, Refused, SpecError
from sessiond.core.ids import ClusterName
from sessiond.core.session import Session
from sessiond.core.spec import Licence, Mode, Resources
from sessiond.render.inputs import inputs_sh
from sessiond.runtime.launch import Place, Request, form_seen, new_session
from sessiond.runtime.workflow import Sight
from tests.forms.samples import FOLDER

HERE = Place(name=ClusterName("local"), modes=(Mode.LOCAL,), workdir="~", setup="", defaults={}, user="lovelace")
FRONTIER = Place(
    name=ClusterName("frontier"),
    modes=(Mode.SLURM, Mode.CONTROLLER),
    workdir="/scratch/ada",
    setup="",
    defaults={"partition": "batch", "account": "abc", "time": "60", "service_notebook_dir": "/usual"},
    user="ada",
)
PBS = replace(FRONTIER, name=ClusterName("pbs"), modes=(Mode.PBS, Mode.CONTROLLER), defaults={"queue": "night"})


@pytest.fixture
def catalogue(tmp_path: Path) -> Catalogue:
    """Two services; the forms of the samples are in the folder of the first."""
    for name in ("notebook", "desk"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "start-template.sh").write_text("true\n")
    forms = tmp_path / "notebook" / "workflows"
    forms.mkdir()
    for path in FOLDER.glob("*.xml"):
        (forms / path.name).write_bytes(path.read_bytes())
    wired = (
        '<param name="jobschedulertype" type="hidden" value="SLURM"/>'
        '<param name="_sch__dd_partition_e_" type="hidden" value="vnc"/>'
    )
    (forms / "wired.xml").write_text(
        f'<tool><inputs><section name="pwrl_host">{wired}</section>'
        '<section name="dcv"><param name="servicePort" type="hidden" value="8443"/></section></inputs></tool>'
    )
    (forms / "elsewhere.xml").write_text(
        '<tool><inputs><param name="service_name" type="hidden" value="nowhere"/></inputs></tool>'
    )
    return Catalogue.read([tmp_path])


def made(catalogue: Catalogue, workflow: str, place: Place = HERE, **more: object) -> Session:
    """The session that a request for a workflow makes."""
    settings = more.pop("settings", {})
    assert isinstance(settings, Mapping)
    request = replace(Request(service=workflow, cluster=place.name, settings=settings), **more)  # type: ignore[arg-type]
    places = {HERE.name: HERE, place.name: place}
    return new_session(request, catalogue, places, now=1e9, number=7, open_port=50001, taken=())


def test_a_workflow_is_a_session_of_its_service(catalogue: Catalogue) -> None:
    """By any of its names; its own part is what scripts and jobs are called by."""
    for name in ("notebook/later", "later"):
        spec = made(catalogue, name).spec
        assert ("desk", "notebook/later", Mode.LOCAL) == (spec.service.name, spec.workflow, spec.mode)
    session = made(catalogue, "notebook/later")
    assert "notebook-later" == session.name
    text = inputs_sh(session).decode()
    assert "export workflow_name='later'\n" in text
    assert "export job_name='later-00007'\n" in text
    assert "export jobschedulertype='CONTROLLER'\n" in text
    assert 'export service_home="$HOME"\n' in text


@pytest.mark.parametrize(("asked", "there"), [("existing", 2), ("slurmshv2", 1), ("gclusterv2", 0)])
def test_what_a_cluster_is_called_in_conditions(catalogue: Catalogue, tmp_path: Path, asked: str, there: int) -> None:
    """A cluster with a scheduler by both names that forms have for one of one's own, this machine by one of them."""
    condition = f'{{"pwrl_host.resource.provider": ["{asked}"]}}'
    (tmp_path / "notebook" / "workflows" / "asks.xml").write_text(
        '<tool><inputs><section name="pwrl_host"><param name="resource" type="computeResource"/></section>'
        f'<section name="service"><param name="x" type="text" value="1" show_if=\'{condition}\'/></section>'
        "</inputs></tool>"
    )
    found = Catalogue.read([tmp_path])
    assert there == sum("service_x" in made(found, "asks", place).spec.params for place in (HERE, FRONTIER))


def test_a_port_in_any_section_is_the_service_s(catalogue: Catalogue) -> None:
    """Of a form, and of what is said about a service without one."""
    assert "8443" == made(catalogue, "wired", FRONTIER).spec.params["servicePort"]
    for name in ("servicePort", "service_servicePort", "dcv.servicePort"):
        assert "8443" == made(catalogue, "desk", settings={name: "8443"}).spec.params["servicePort"]


def test_a_service_goes_before_a_workflow_of_its_name(catalogue: Catalogue) -> None:
    """`notebook` is the service; its form is `notebook/notebook`."""
    assert {} == made(catalogue, "notebook").spec.params
    assert "service_notebook_dir" in made(catalogue, "notebook/notebook").spec.params


@pytest.mark.parametrize(
    ("place", "mode", "settings", "expected"),
    [
        (HERE, "", {}, Mode.LOCAL),
        (HERE, "local", {"jobschedulertype": "CONTROLLER"}, Mode.LOCAL),
        (FRONTIER, "", {}, Mode.CONTROLLER),
        (FRONTIER, "slurm", {}, Mode.SLURM),
        (FRONTIER, "", {"pwrl_host.jobschedulertype": "SLURM"}, Mode.SLURM),
        (PBS, "", {"pwrl_host_jobschedulertype": "PBS"}, Mode.PBS),
        (replace(FRONTIER, modes=(Mode.SLURM,)), "", {}, Mode.SLURM),
    ],
)
def test_the_mode(catalogue: Catalogue, place: Place, mode: str, settings: Mapping[str, str], expected: Mode) -> None:
    """What is asked for, in the words of sessionctl or of the form; else the form's default if the cluster has it."""
    assert expected == made(catalogue, "notebook/notebook", place, mode=mode, settings=settings).spec.mode


@pytest.mark.parametrize(
    ("workflow", "place", "more", "message"),
    [
        ("notebook/notebook", FRONTIER, {"mode": "slurm", "settings": {"jobschedulertype": "PBS"}}, "was set to PBS"),
        (
            "notebook/notebook",
            FRONTIER,
            {"settings": {"jobschedulertype": "PBS"}},
            "runs as PBS, and frontier has",
        ),
        ("notebook/notebook", FRONTIER, {"settings": {"jobschedulertype": "LSF"}}, "expected one of CONTROLLER, SLURM"),
        ("wired", HERE, {}, "runs as SLURM, and local has mode local only"),
        ("wired", FRONTIER, {"mode": "controller"}, "not with the workflow notebook/wired; it has SLURM"),
        ("notebook/notebook", HERE, {"mode": "slurm"}, "local has mode local only"),
        ("notebook/notebook", HERE, {"directives": ("--nice",)}, "no scheduler that could read directives"),
        ("notebook/notebook", HERE, {"settings": {"gpus": "1"}}, "no scheduler that could be asked"),
        ("notebook/notebook", HERE, {"settings": {"nonsense": "1"}}, "the form does not ask for nonsense"),
        (
            "notebook/notebook",
            FRONTIER,
            {"mode": "slurm", "settings": {"x": "1", "gpus": "no"}},
            "for x\ngpus: ",
        ),
        ("elsewhere", HERE, {}, "is for the service nowhere, which is not there"),
        ("wrong", HERE, {}, "wrong.xml:3: a parameter needs a name"),
    ],
)
def test_what_cannot_be(
    catalogue: Catalogue, workflow: str, place: Place, more: Mapping[str, object], message: str
) -> None:
    """Refused in words."""
    with pytest.raises(Refused, match=message):
        made(catalogue, workflow, place, **more)


def test_names_that_are_none(catalogue: Catalogue, tmp_path: Path) -> None:
    """An unknown name has the nearest as hint, a form of two services both."""
    with pytest.raises(NotFound) as unknown:
        made(catalogue, "latr")
    assert "Did you mean later?" in unknown.value.hint
    (tmp_path / "desk" / "workflows").mkdir()
    (tmp_path / "desk" / "workflows" / "later.xml").write_text("<tool/>")
    with pytest.raises(Conflict, match="2 workflows are called later"):
        made(Catalogue.read([tmp_path]), "later")


def test_what_is_asked_of_slurm(catalogue: Catalogue) -> None:
    """The form's directives, then the person's; a cluster's defaults in its fields, and where it has none as ever."""
    spec = made(catalogue, "notebook/notebook", FRONTIER, mode="slurm", directives=("--nice",), time="30").spec
    assert ("--exclusive", "--gpus-per-node=1", "--partition=batch", "--cpus-per-task=1") == spec.resources.extra[:4]
    assert ("--mem-per-cpu=8G", "--nice") == spec.resources.extra[4:]
    assert Resources(account="abc", walltime_s=1800) == replace(spec.resources, extra=())
    assert "/usual" == spec.params["service_notebook_dir"]
    own = {"gpus": "2", "_sch__dd_partition_e_": "big", "account": "mine"}
    spec = made(catalogue, "notebook/notebook", FRONTIER, mode="slurm", settings=own).spec
    assert Resources(account="mine", gpus="2", walltime_s=3600) == replace(spec.resources, extra=())
    assert "--partition=big" in spec.resources.extra


def test_a_form_that_is_wired_to_a_partition(catalogue: Catalogue) -> None:
    """A cluster's default stands back, and a port that is fixed in any section is the service's port."""
    spec = made(catalogue, "wired", FRONTIER).spec
    assert (("--partition=vnc",), "") == (spec.resources.extra, spec.resources.partition)
    assert ("8443", Mode.SLURM) == (spec.params["servicePort"], spec.mode)


def test_what_is_asked_of_pbs(catalogue: Catalogue) -> None:
    """Its branch of the form, its own directives, the cluster's queue in the form's field."""
    spec = made(catalogue, "notebook/notebook", PBS, mode="pbs").spec
    assert (("-l walltime=00:20:00", "-q night"), Resources()) == (
        spec.resources.extra,
        replace(spec.resources, extra=()),
    )


def test_values_of_before(catalogue: Catalogue) -> None:
    """They stand behind what is given and before a cluster's defaults, where they are asked for and fit."""
    remembered = {"service.notebook_dir": "/before", "pwrl_host._sch__dd_cpus_d_per_d_task_e_": "99", "gone": "x"}
    spec = made(catalogue, "notebook/notebook", FRONTIER, mode="slurm", remembered=remembered).spec
    assert ("/before", "1") == (spec.params["service_notebook_dir"], spec.params["_sch__dd_cpus_d_per_d_task_e_"])
    now = {"service.notebook_dir": "/now"}
    spec = made(catalogue, "notebook/notebook", FRONTIER, settings=now, remembered=remembered).spec
    assert ("/now", Mode.CONTROLLER) == (spec.params["service_notebook_dir"], spec.mode)
    plain = made(catalogue, "desk", FRONTIER, settings={"queue": "q"}, remembered={"partition": "p", "a": "1"}).spec
    assert ("q", "1") == (plain.resources.partition, plain.params["a"])


def test_secrets_are_apart(catalogue: Catalogue) -> None:
    """A password is no parameter, and no form has a say in what is ours."""
    spec = made(catalogue, "notebook/notebook", settings={"service.password": "pä$"}).spec
    assert ("pä$", None) == (spec.secrets["service_password"], spec.params.get("service_password"))
    assert not {"nports", "jobschedulertype", "service_name"} & spec.params.keys()


def test_what_the_form_says_nothing_of(catalogue: Catalogue, tmp_path: Path) -> None:
    """The service's own defaults stand; what it calls a secret is one; what it requires must be there."""
    toml = tmp_path / "desk" / "service.toml"
    toml.write_text(
        '[params.service_extra]\ndefault = "1"\n[params.service_on]\ntype = "boolean"\n'
        "[params.service_theme]\nsecret = true\n"
    )
    spec = made(Catalogue.read([tmp_path]), "later").spec
    assert ("1", "false", None) == tuple(map(spec.params.get, ("service_extra", "service_on", "service_theme")))
    assert "plain" == spec.secrets["service_theme"]
    toml.write_text("[params.service_key]\nrequired = true\n")
    with pytest.raises(SpecError, match="service_key is missing: desk needs it"):
        made(Catalogue.read([tmp_path]), "later")


def test_what_a_forms_author_declares_is_passed_on(catalogue: Catalogue, tmp_path: Path) -> None:
    """A service may know fewer parameters than its forms have; what a person says is held against the form."""
    (tmp_path / "desk" / "service.toml").write_text('[params.service_theme]\noptions = ["plain"]\n')
    folder = tmp_path / "desk" / "workflows"
    folder.mkdir()
    (folder / "old.xml").write_text(
        '<tool><inputs><param name="novnc_dir" type="hidden" value="/opt/x"/><section name="service">'
        '<param name="name" type="hidden" value="desk"/><param name="exec" type="hidden" value=""/>'
        '<param name="theme" type="text" value="odd"/></section></inputs></tool>'
    )
    found = Catalogue.read([tmp_path])
    spec = made(found, "desk/old").spec
    assert {"novnc_dir": "/opt/x", "service_exec": "", "service_theme": "odd"} == spec.params
    for settings in ({"novnc_dir": "/x"}, {"service_other": "1"}):
        with pytest.raises(SpecError):
            made(found, "desk/old", settings=settings)


@pytest.mark.parametrize(
    ("inputs", "settings", "service"),
    [
        ('<param name="service_name" type="hidden" value="desk"/>', {}, "desk"),
        ('<section name="service"><param name="name" type="hidden" value="desk"/></section>', {}, "desk"),
        ("{}", {}, "desk"),
        ("{}", {"advanced_options.service_name": "notebook"}, "notebook"),
        ('<param name="a" type="hidden" value="1"/>', {}, "notebook"),
    ],
)
def test_a_form_for_the_service_of_another_folder(
    tmp_path: Path, catalogue: Catalogue, inputs: str, settings: Mapping[str, str], service: str
) -> None:
    """However it says so; without a word it is for the service in whose folder it lies."""
    choice = '<param name="service_name" type="select"><option value="desk"/><option value="notebook"/></param>'
    text = inputs.format(f'<section name="advanced_options">{choice}</section>')
    (tmp_path / "notebook" / "workflows" / "other.xml").write_text(f"<tool><inputs>{text}</inputs></tool>")
    assert service == made(Catalogue.read([tmp_path]), "notebook/other", settings=settings).spec.service.name


def test_licences(catalogue: Catalogue, tmp_path: Path) -> None:
    """What a form's fields say of them, and what a person or a cluster's defaults say beside those."""
    hidden = "".join(
        f'<param name="license_{name}" type="{kind}" value="{value}"/>'
        for name, kind, value in (("env", "text", ""), ("server_port", "hidden", "27010"))
    )
    (tmp_path / "notebook" / "workflows" / "matlab.xml").write_text(
        f'<tool><inputs><section name="advanced_options">{hidden}</section></inputs></tool>'
    )
    found = Catalogue.read([tmp_path])
    asked = {"advanced_options.license_env": "MLM_LICENSE_FILE"}
    assert None is made(found, "matlab").spec.licence
    licence = Licence(variable="MLM_LICENSE_FILE", ports=(27010,))
    assert licence == made(found, "matlab", settings=asked).spec.licence
    usual = {"advanced_options_license_host": "a.example", "advanced_options_license_env": "OTHER"}
    there = replace(FRONTIER, defaults=usual)
    assert replace(licence, host="a.example") == made(found, "matlab", there, settings=asked).spec.licence
    daemon = {"advanced_options.license_daemon_port": "1711"}
    again = made(found, "matlab", there, settings=asked, remembered=daemon).spec
    assert (27010, 1711) == (again.licence.ports if again.licence is not None else ())
    assert "1711" == again.params["advanced_options_license_daemon_port"]
    with pytest.raises(SpecError, match="license_server_port"):
        made(found, "matlab", settings={**asked, "advanced_options.license_server_port": "1"})
    with pytest.raises(SpecError, match="license_host: expected"):
        made(found, "matlab", settings={**asked, "advanced_options.license_host": "-x"})


def sight(catalogue: Catalogue, place: Place, **settings: str) -> Sight:
    """The notebook's form as a person sees it; parameters are written with two underscores for the dot."""
    given = {name.replace("__", ".", 1): value for name, value in settings.items()}
    request = Request(service="notebook/notebook", cluster=place.name, settings=given)
    return form_seen(request, catalogue, {place.name: place})


def test_a_form_is_seen_as_it_is_filled_in(catalogue: Catalogue) -> None:
    """Fields come and go with the answers, with the cluster's values in them; the cluster itself is no field."""
    fields = {one.param.dotted: one.text for one in sight(catalogue, FRONTIER, jobschedulertype="SLURM").fields}
    assert "batch" == fields["pwrl_host._sch__dd_partition_e_"]
    assert not {"pwrl_host.resource", "service.name", "service.conda_env"} & fields.keys()
    more = sight(catalogue, FRONTIER, jobschedulertype="CONTROLLER", service__conda_install="Yes")
    names = {one.param.dotted for one in more.fields}
    assert "service.conda_env" in names
    assert not [name for name in names if "_sch_" in name]
    assert Mode.CONTROLLER is more.mode


@pytest.mark.parametrize(
    ("place", "expected"), [(HERE, {"CONTROLLER"}), (FRONTIER, {"CONTROLLER", "SLURM"}), (PBS, {"CONTROLLER", "PBS"})]
)
def test_ways_to_run_are_those_of_the_cluster(catalogue: Catalogue, place: Place, expected: set[str]) -> None:
    """The form's choices are narrowed to what can be."""
    how = next(one for one in sight(catalogue, place).fields if one.param.variable == "jobschedulertype")
    assert expected == {one.value for one in how.options}


def test_all_problems_of_a_form_are_seen(catalogue: Catalogue) -> None:
    """Those of the values and of the mode, with the fields still there."""
    found = sight(catalogue, HERE, jobschedulertype="SLURM", service__conda_install="perhaps")
    assert found.mode is None
    assert found.fields
    assert 2 == len(found.problems)
    assert found.problems[1].startswith("service.conda_install: expected true or false")
