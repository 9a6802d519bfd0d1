# shellcheck shell=sh disable=SC2034,SC2154 # variables are shared between the parts of a script
# The runner of a session's job: what job.sh becomes on the node, in the session's folder. Written for every POSIX shell,
# but run by bash, which alone can give its background commands back the SIGINT that notebooks interrupt kernels with.
#
# Arguments: TAG BOUND LEAD WALLTIME, in seconds: what the kill script may take, how long before its walltime's end the
# session is ended, and the walltime (0: not known).
# TERM with the mark `stop` in the folder: the session was told to end. TERM without: somebody else ends the job, and
# will do it harder soon. USR2: the walltime is nearly over. In each case, and when the session ended by itself: kill
# script, then TERM, then KILL to all with the session's mark. `exit` tells how; in the site's books no such job failed.

# limits: sets bound and grace, seconds for the kill script and between TERM and KILL, and why
limits() {
  grace=10 why=''
  case $signal in
    TERM)
      why=signal:TERM how=''
      if [ -e stop ]; then
        why=stopped
        read -r _ how <stop
      elif [ "$bound" -gt 12 ]; then
        bound=12 grace=5 # KillWait, after which Slurm sends KILL, is 30 s unless a site says otherwise
      fi
      [ "$how" != force ] || bound=0 ;;
    USR2)
      why=walltime
      [ "$((lead / 2))" -ge "$bound" ] || bound=$((lead / 2))
      [ "$((lead / 4))" -ge 10 ] || grace=$((lead / 4 + 1)) ;;
  esac
}

# too_early: whether there is time left before the session must end. Slurm sends its signal up to a minute early; then
# we send it again ourselves, from a process that bears the mark and so ends with the rest.
too_early() {
  [ "$signal" = USR2 ] || return
  left_s=$((walltime - lead - ($(date +%s) - began))) walltime=0
  [ "$left_s" -gt 0 ] || return
  signal=''
  SESSIOND_TAG=$tag sh -c 'sleep "$0" && kill -USR2 "$1"' "$left_s" "$$" </dev/null >/dev/null 2>&1 3>&- &
}

main() {
  tag=$1 bound=$2 lead=$3 walltime=$4 began=$(date +%s) signal='' code='' left='' job_pid=0 job_start=0 job_boot=none
  SESSIOND_RUN=$SLURM_JOB_ID.${SLURM_RESTART_COUNT:-0} job_run=$SESSIOND_RUN
  trap 'signal=${signal:-TERM}' TERM
  trap 'signal=${signal:-USR2}' USR2
  trap : HUP INT USR1
  if [ -e stop ]; then record_exit 143 stopped && exit 0; fi
  rm -f kill.done exit endpoint failure
  (
    trap - INT QUIT
    SESSIOND_TAG=$tag SESSIOND_RUN=$job_run exec bash session.sh
  ) </dev/null 2>&3 3>&- &
  session=$! ended=''
  while [ -z "$ended" ] && { [ -z "$signal" ] || too_early; }; do
    wait "$session"
    code=$?
    kill -0 "$session" 2>/dev/null || ended=yes
  done
  limits
  run_kill_script "$bound"
  sweep "$grace"
  [ -n "$ended" ] || { wait "$session" && code=0 || code=$?; }
  read_pairs exit
  [ "$run" = "$job_run" ] && [ -z "$why" ] || { [ -n "$why" ] || why_ended "$code"; record_exit "$code" "$why"; }
  [ ! -f ports ] || free_ports
  case $why in stopped | walltime) exit 0 ;; *) exit "$code" ;; esac
}

# The shell's own word about what was killed does not belong into the session's log.
main "$@" 3>&2 2>/dev/null
