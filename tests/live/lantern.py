"""A service folder and a form as they were written for the older family of shell scripts, doing at once what each of
those does somewhere: files for its kill template, ssh to its own node, a server in the background, a long sleep."""

from __future__ import annotations

from pathlib import Path

from tests.daemon import services

START = f"""# Runs via ssh + sbatch

inner_port=$(findAvailablePort)
echo '#!/bin/bash' > cancel.sh
chmod +x cancel.sh
echo "rm /tmp/${{inner_port}}.port.used" >> cancel.sh

if [[ ${{jobschedulertype}} == "CONTROLLER" ]]; then
    echo "bash ${{resource_jobdir}}/service-kill-${{job_number}}-main.sh" > service-kill-${{job_number}}.sh
else
    # the name that ssh knows
    hname=$(hostname | sed "s/.cluster.local//g")
    echo "ssh ${{hname}} 'bash -s' < ${{PWD}}/service-kill-${{job_number}}-main.sh" > service-kill-${{job_number}}.sh
fi
cat >> service-kill-${{job_number}}-main.sh <<HERE
service_pid=\\$(cat ${{resource_jobdir}}/service.pid)
echo "\\$(hostname) ended \\${{service_pid}}" >> ~/killed
pkill -P \\${{service_pid}}
kill \\${{service_pid}}
HERE

# would take the rest of this script if it could
cat

if [ -z "${{service_bin}}" ]; then
    displayErrorMessage "ERROR: no program was given - exiting"
fi
if [[ "${{advanced_options_open}}" == "true" ]]; then
    port=${{openPort}}
else
    port=${{servicePort}}
fi

cd ~/
trap 'rm -f ~/lantern.lock' EXIT
touch ~/lantern.lock
export SAID="${{FROM_LOAD}} $(eval ${{service_bin}})"
{services.SERVER} where 0.0.0.0:${{port}} &
echo $! >> ${{resource_jobdir}}/service.pid

# Notify platform that service is running
${{sshusercontainer}} ${{pw_job_dir}}/utils/notify.sh
eval "${{service_load_env}}"
echo "it said: ${{SAID}}; volume ${{FROM_LOAD}}"

if [[ "${{service_ending}}" == "seven" ]]; then
    until [ -e ~/go ]; do sleep 0.1; done
    exit 7
fi
sleep 9999
"""

KILL = """# Runs in the controller node:
bash ${resource_jobdir}/service-kill-${job_number}.sh
bash ${resource_jobdir}/cancel.sh
exit 3
"""

URL = 'export URLEND="tree?port=${openPort}\\&dt=\\"+(new Date()).getTime()"\n'

FORM = """<tool id='NA' name='NA'>
  <command interpreter='bash'>main.sh</command>
  <cancel interpreter='bash'>kill.sh</cancel>
  <inputs>
    <param name='novnc_dir' label='Where' type='hidden' value='__WORKDIR__/pw/__user__/noVNC-1.3.0'></param>
    <section name='service' type='section' title='Lantern' expanded='true'>
      <param name='name' label='Service' type='hidden' value='lantern'></param>
      <param name='load_env' label='Load' type='text' value='export FROM_LOAD=__USER__-__job_number__'></param>
      <param name='bin' label='Command' type='text' value='echo \\&quot;ho; ho\\&quot; \\${HOME##*/}'></param>
      <param name='ending' label='End' type='select' multiple='false'>
        <option value='stays' selected='true'>Stays</option>
        <option value='seven'>Seven</option>
      </param>
    </section>
    <section name='pwrl_host' type='section' title='Host' expanded='true'>
      <param name='resource' type='computeResource' label='Service host' hideUserWorkspace='true' help='Where'></param>
      <param name='nports' label='Number of Ports to Reserve' type='hidden' value='1'></param>
      <conditional name="jobschedulertype_cond">
        <param name='jobschedulertype' type='select' label='How' multiple='false'>
          <option value="CONTROLLER" selected="true">Controller</option>
          <option value="SLURM">SLURM Partition</option>
          <option value="PBS">PBS Queue</option>
        </param>
        <when value="SLURM">
          <param name='_sch__dd_partition_e_' label='SLURM partition' type='text' value=''></param>
          <param name='_sch__dd_cpus_d_per_d_task_e_' label='CPUs' type='integer' min='1' max='10' value='2'></param>
          <param name='scheduler_directives' label='More' type='text' value='--time=00:20:00; --nodes=1;'></param>
        </when>
        <when value="PBS">
          <param name='_sch__d_q___' label='PBS queue' type='text' value='workq'></param>
          <param name='scheduler_directives' label='M' type='text' value='-l walltime=00:20:00; -l ncpus=2'></param>
        </when>
      </conditional>
    </section>
    <section name='advanced_options' type='section' title='Advanced Options' expanded='false'>
      <param name="stream" type="boolean" truevalue="Yes" falsevalue="No" checked="True" label="Log?" optional='true'>
      </param>
      <param name="open" type="boolean" truevalue="Yes" falsevalue="No" checked="False" label="Open?"></param>
    </section>
  </inputs>
  <outputs>
  </outputs>
</tool>
"""


def add_lantern(folder: Path) -> None:
    """Put the service and its form into a folder of services."""
    services.write(folder / "lantern", START, kill=KILL, url=URL)
    (folder / "lantern" / "general.xml").write_text(FORM)
