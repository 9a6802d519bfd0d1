# shellcheck shell=sh disable=SC2034,SC2154 # variables are shared between the parts of a script
# Put before batch_run.sh: which run of which job this is, and what PBS does not see to. Defines functions, prints nothing.

# What PBS leaves between TERM and KILL is kill_delay, 10 s unless a site says otherwise.
hurry=4 hurry_grace=3

# identify: sets SESSIOND_RUN and job_run, and node, which is what the login node can resolve. PBS does not tell a job how
# often it ran before: the runs count themselves, and leave the process session, which qstat tells too.
identify() {
  number=${PBS_JOBID%%.*} job=$PBS_JOBID starts=0 node=''
  for file in attempt.*/jobid; do
    if [ -s "$file" ] && read -r submitted <"$file" && [ "${submitted%%.*}" = "$number" ]; then job=$submitted; fi
  done
  while ! mkdir "pbs.began.$number.$starts" && [ -d "pbs.began.$number.$starts" ]; do starts=$((starts + 1)); done
  stat_of "$$"
  (umask 077 && echo "$job $starts $p_session" >pbs.began.new) && mv -f pbs.began.new pbs.began
  SESSIOND_RUN=$job.$starts job_run=$job.$starts
  [ ! -r "$PBS_NODEFILE" ] || read -r node <"$PBS_NODEFILE"
}

# attend: tells the runner TERM when the mark `stop` appears, and USR2 when the walltime is nearly over, which PBS does
# not. The folder is read for the mark: an NFS client does not look anew for a file that was not there.
attend() {
  tend "$$" "$lead" "$walltime" "$job" </dev/null >/dev/null 2>&1 3>&- &
  attendant=$!
}

# from_server NAME: sets total to the seconds that the server's word about the job, told, has there
from_server() { seconds "$(printf '%s\n' "$told" | sed -n "s/^[[:space:]]*$1 = \([0-9:]*\)\$/\1/p" | head -n 1)"; }

# ask_server JOB: sets granted and used, in seconds; fails where it does not say them. What was used is up to two minutes
# old.
ask_server() {
  told=$(PATH=$PATH:$PBS_O_PATH timeout -k 1 15 qstat -f "$1" 2>/dev/null) && from_server resources_used.walltime || return
  used=$total
  from_server Resource_List.walltime && granted=$total && [ "$granted" -gt 0 ]
}

# learn JOB: sets limit, lead and begun of a job that asked for no walltime
learn() {
  ask_server "$1" || return
  limit=$granted begun=$((begun - used))
  [ "$((limit / 4))" -ge "$lead" ] || lead=$((limit / 4))
}

# more_time JOB: whether it has more than its limit said: it was given more, or was suspended for a while
more_time() {
  if [ -s pbs.limit ] && read -r given <pbs.limit && [ "$given" -gt "$limit" ]; then limit=$given && return; fi
  ask_server "$1" && [ "$((granted - used - lead))" -gt 150 ] || return
  begun=$((now - used)) limit=$granted
}

tend() {
  trap - TERM USR2
  runner=$1 lead=$2 limit=$3
  read -r now _ </proc/uptime
  begun=${now%.*}
  [ "$limit" -gt 0 ] || learn "$4"
  while sleep 2 && kill -0 "$runner"; do
    for file in stop*; do
      if [ "$file" = stop ]; then kill -TERM "$runner" && exit; fi
    done
    read -r now _ </proc/uptime
    now=${now%.*}
    [ "$limit" -gt 0 ] && [ "$((now - begun))" -ge "$((limit - lead))" ] || continue
    more_time "$4" || { kill -USR2 "$runner" && exit; }
  done
}
