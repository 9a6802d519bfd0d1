# shellcheck shell=sh disable=SC2034,SC2154 # variables are shared between the parts of a script
# Put after slurm_run.sh or pbs_run.sh. The runner of a session's job: what job.sh becomes on the node, in the session's
# folder. Written for every POSIX shell, but run by bash, which alone can give its background commands back the SIGINT
# that notebooks interrupt kernels with.
#
# Arguments: TAG BOUND LEAD WALLTIME, in seconds: what the kill script may take, how long before its walltime's end the
# session is ended, and the walltime (0: not known).
# TERM with the mark `stop` in the folder: the session was told to end. TERM without: somebody else ends the job, and
# will do it harder soon. USR2: the walltime is nearly over. In each case, and when the session ended by itself: kill
# script, then TERM, then KILL to all with the session's mark. `exit` tells how; in the site's books no such job failed.

main() {
  tag=$1 bound=$2 lead=$3 walltime=$4 began=$(date +%s) signal='' code='' left='' job_pid=0 job_start=0 job_boot=none attendant='' job_session=''
  identify
  ! stat_of "$$" || job_session=$p_session
  trap 'signal=${signal:-TERM}' TERM
  trap 'signal=${signal:-USR2}' USR2
  trap : HUP INT USR1
  if [ -e stop ]; then record_exit 143 stopped && exit 0; fi
  rm -f kill.done exit endpoint failure
  (
    trap - INT QUIT
    SESSIOND_TAG=$tag SESSIOND_RUN=$job_run SESSIOND_NODE=$node exec bash session.sh
  ) </dev/null 2>&3 3>&- &
  session=$! ended=''
  attend
  while [ -z "$ended" ] && { [ -z "$signal" ] || too_early; }; do
    wait "$session"
    code=$?
    kill -0 "$session" 2>/dev/null || ended=yes
  done
  limits "$hurry" "$hurry_grace"
  run_kill_script "$bound"
  sweep "$grace"
  [ -n "$ended" ] || { wait "$session" && code=0 || code=$?; }
  read_pairs exit
  [ "$run" = "$job_run" ] && [ -z "$why" ] || { [ -n "$why" ] || why_ended "$code"; record_exit "$code" "$why"; }
  [ ! -f ports ] || free_ports
  [ -z "$attendant" ] || kill "$attendant"
  case $why in stopped | walltime) exit 0 ;; *) exit "$code" ;; esac
}

# The shell's own word about what was killed does not belong into the session's log.
main "$@" 3>&2 2>/dev/null
