# shellcheck shell=sh disable=SC2034,SC2154 # variables are shared between the parts of a script
# Put before batch_run.sh: when a session ends, and how long that may take. Defines functions, prints nothing.

# limits HURRY GRACE: sets bound and grace, seconds for the kill script and between TERM and KILL, and why; HURRY and
# GRACE are what is left of them where the scheduler will send KILL
limits() {
  grace=10 why=''
  case $signal in
    TERM)
      why=signal:TERM how=''
      if [ -e stop ]; then
        why=stopped
        read -r _ how <stop
      elif [ "$bound" -gt "$1" ]; then
        bound=$1 grace=$2
      fi
      [ "$how" != force ] || bound=0 ;;
    USR2)
      why=walltime
      [ "$((lead / 2))" -ge "$bound" ] || bound=$((lead / 2))
      [ "$((lead / 4))" -ge 10 ] || grace=$((lead / 4 + 1)) ;;
  esac
}

# too_early: whether there is time left before the session must end: a scheduler may send its signal up to a minute early
# (Slurm does). Then we send it again ourselves, from a process that bears the mark and so ends with the rest.
too_early() {
  [ "$signal" = USR2 ] || return
  left_s=$((walltime - lead - ($(date +%s) - began))) walltime=0
  [ "$left_s" -gt 0 ] || return
  signal=''
  SESSIOND_TAG=$tag sh -c 'sleep "$0" && kill -USR2 "$1"' "$left_s" "$$" </dev/null >/dev/null 2>&1 3>&- &
}
