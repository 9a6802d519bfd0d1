# shellcheck shell=sh disable=SC2034,SC2154 # variables are shared between the parts of a script
# Put after lib.sh before cancel.sh and cleanup.sh: running a session's kill script. Defines a function, prints nothing.

# run_kill_script BOUND: kill.sh of the current folder, at most BOUND seconds, once in a session's life and one at a
# time; 0 skips it. Its own leavings bear the session's tag. Uses tag, job_pid, job_start, job_boot.
run_kill_script() {
  [ "$1" -gt 0 ] && [ -f kill.sh ] && [ ! -e kill.done ] || return 0
  (
    flock -w "$(($1 + 10))" 9 2>/dev/null
    [ ! -e kill.done ] || exit 0
    SESSIOND_TAG=$tag SESSIOND_RUN=$job_pid:$job_start:$job_boot.0 \
      timeout -k 5 "$1" bash kill.sh </dev/null >>logs.out 2>&1 9>&-
    echo "$?" >kill.done
  ) 9<>kill.sh 2>/dev/null
}
