"""Forms as they were written for services of the same names elsewhere: they start ours, unmodified."""

from __future__ import annotations

import json
from pathlib import Path

import aiohttp
import anyio
import anyio.to_thread
import pytest

from sessiond.api.wire import Session
from tests.daemon.workspace import Workspace, fetch
from tests.services.conda_stand_in import make_conda
from tests.services.test_vscode import add_code_server

from .bed.environments import ensure_environment
from .notebook import opened
from .shell import shell_says
from .streamlit import shown

pytestmark = [pytest.mark.anyio, pytest.mark.live, pytest.mark.timeout(400)]

CONDA = """
      <conditional name="conda_install_cond">
        <param name="conda_install" type="boolean" truevalue="Yes" falsevalue="No" checked="True" optional='true'/>
        <when value="Yes">
          <param name='conda_sh' type='text' value='__WORKDIR__/miniconda/etc/profile.d/conda.sh' width='50%_none'/>
          <param name='conda_env' type='text' value='work'/>
        </when>
        <when value="No"><param name='load_env' type='text' value='conda activate work'/></when>
      </conditional>"""
SERVICE = "<param name='{}' type='hidden' value='{}'></param>"
SECTIONS = {
    "jupyterlab-host": f"""
    <section name='service' type='section' title='Lab' expanded='true'>
      {SERVICE.format("name", "jupyterlab-host")}
      <param name='notebook_dir' type='text' value='__WORKDIR__'/>
      <param name="conda_install" type="boolean" truevalue="Yes" falsevalue="No" checked="True"/>
      <param name='conda_sh' type='text' value='__WORKDIR__/other/conda.sh' show_if='service.conda_install'/>
      <param name='conda_env' type='text' value='base' show_if='service.conda_install'/>
      <param name='load_env' type='text' value='module load x' depends_on='service.conda_install' show_if='false'/>
      <param name='nginx_sif' type='hidden' value='/public/nginx.sif'/>
      <param name='password' type='hidden' value=''/>
    </section>""",
    "jupyter-host": f"""
    <section name='service' type='section' title='Notebook' expanded='true'>
      {SERVICE.format("name", "jupyter-host")}
      <param name='password' type='text' value='' help='Enter password or leave blank'/>
      <param name='notebook_dir' type='text' value='__WORKDIR__/'/>
      <param name='nginx_sif' type='hidden' value='/public/nginx.sif'/>{CONDA}
    </section>""",
    "streamlit-host": f"""
    <section name='service' type='section' title='Streamlit' expanded='true'>
      {SERVICE.format("name", "streamlit-host")}
      <param name='streamlit_script' type='text' value='' help='Its path'/>{CONDA.replace("'work'", "'streamlit'")}
    </section>""",
    "openvscode": f"""
    {SERVICE.format("service_name", "openvscode")}
    <param name='service_exec' type='hidden' value=''/>
    <section name='service' type='section' title='VS Code' expanded='true'>
      <param name='install_dir' type='hidden' value='__WORKDIR__/pw/bootstrap/code-server-4.7.0-linux-amd64'/>
      <param name='tgz_path' type='hidden' value='/apps/code-server-4.7.0-linux-amd64.tar.gz'/>
      <param name='password' type='text' value=''/>
      <param name='directory' type='text' value='~/'/>
      <param name='github_token' type='text' value=''/>
    </section>""",
    "netcat-tester": SERVICE.format("service_name", "netcat-tester"),
    "webshell": SERVICE.format("service_name", "webshell"),
}
FORM = """<tool id='NA' name='NA'>
  <command interpreter='bash'>main.sh</command>
  <cancel interpreter='bash'>kill.sh</cancel>
  <inputs>{}
    <section name='pwrl_host' type='section' title='Host' expanded='true'>
      <param name='resource' type='computeResource' label='Host' hideUserWorkspace='false'></param>
      <param name='nports' type='hidden' value='1'></param>
      <conditional name="jobschedulertype_cond">
        <param name='jobschedulertype' type='select' multiple='false'>
          <option value="CONTROLLER" selected="true">Controller</option>
          <option value="SLURM">SLURM</option>
        </param>
        <when value="SLURM">
          <param name='_sch__dd_partition_e_' type='text' value=''></param>
          <param name='scheduler_directives' type='text' value='--exclusive'></param>
        </when>
      </conditional>
    </section>
    <section name='advanced_options' type='section' title='Advanced' expanded='false'>
      <param name="stream" type="boolean" truevalue="Yes" falsevalue="No" checked="True" float='right'></param>
    </section>
  </inputs>
</tool>
"""


def logged(session: Session) -> str:
    """What a session printed, its preparation included."""
    folder = Path(session["folder"])
    return "".join(path.read_text() for path in sorted(folder.glob("*.out")) + sorted(folder.glob("*.log")))


def installed(house: Workspace, pattern: str) -> str:
    """A program of a service's own environment."""
    return str(next(Path(house.env["SESSIOND_ENVS"]).glob(pattern)))


def browser() -> aiohttp.ClientSession:
    """Something with cookies."""
    return aiohttp.ClientSession(cookie_jar=aiohttp.CookieJar(unsafe=True))


async def test_they_start_what_they_are_for(house: Workspace) -> None:
    """With hidden parameters that nobody reads, a conda that is there, one that is not, and an editor where it says."""
    for service in ("jupyter-host", "jupyterlab-host", "streamlit-host", "webshell"):
        await anyio.to_thread.run_sync(ensure_environment, service)
    for service, sections in SECTIONS.items():
        forms = house.services / service / "workflows"
        forms.mkdir(parents=True)
        (forms / "old.xml").write_text(FORM.format(sections))
    make_conda(house.work / "miniconda", jupyter_notebook=installed(house, "notebook-*/bin/jupyter-notebook"))
    add_code_server(house.work / "pw" / "bootstrap" / "code-server-4.7.0-linux-amd64")
    house.daemon()
    for service in SECTIONS:
        house.client.start({"service": f"{service}/old", "name": service})
    sessions = {}
    for service in SECTIONS:
        sessions[service] = await anyio.to_thread.run_sync(house.until, service, "running")
        assert (service, f"{service}/old") == (sessions[service]["service"], sessions[service]["workflow"])
    urls = {service: str(session["url"]) for service, session in sessions.items()}

    code = "import os\nprint(os.environ.get('CONDA_PREFIX'))"
    async with browser() as client:
        lab = await opened(client, urls["jupyterlab-host"])
        assert "None\n" == await lab.run(await lab.kernel(), code)
    async with browser() as client:
        tree = await opened(client, urls["jupyter-host"], "Home")
        assert f"{house.work}/miniconda/envs/work\n" == await tree.run(await tree.kernel(), code)
    async with browser() as client:
        async with client.get(urls["streamlit-host"], headers={"Sec-Fetch-Mode": "navigate"}) as answer:
            root = str(answer.url)
        assert await shown(client, root, "It works")
    async with browser() as client:
        await shell_says(client, urls["webshell"], "echo in-$((6 * 7))", "in-42")
    status, page = await anyio.to_thread.run_sync(fetch, urls["netcat-tester"])
    assert (200, True) == (status, "<h1>It works</h1>" in page)
    status, page = await anyio.to_thread.run_sync(fetch, urls["openvscode"])
    assert (200, str(house.home)) == (status, json.loads(page)["folder"])

    for service, words in (
        ("jupyterlab-host", f"there is no file {house.work}/other/conda.sh (service_conda_sh)"),
        ("jupyter-host", f"using {house.work}/miniconda/envs/work/bin/jupyter-notebook"),
        ("streamlit-host", "cannot activate streamlit (service_conda_env)"),
    ):
        assert words in logged(sessions[service])
    for service in SECTIONS:
        ended = await anyio.to_thread.run_sync(house.stop, service)
        assert "cancelled" == ended["outcome"]
    assert [] == house.traces(*sessions.values())
