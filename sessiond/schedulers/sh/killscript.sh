# shellcheck shell=sh disable=SC2034,SC2154 # variables are shared between the parts of a script
# Put after lib.sh before cancel.sh, cleanup.sh and batch_run.sh: running a session's kill script. Defines a function, prints nothing.

# run_kill_script BOUND: kill.sh of the current folder, at most BOUND seconds, once in a session's life and one at a
# time; 0 skips it. Its own leavings bear the session's tag. Uses tag and job_run, or else job_pid, job_start, job_boot.
run_kill_script() {
  [ "$1" -gt 0 ] && [ -f kill.sh ] || return 0
  (
    flock -w "$(($1 + 10))" 9 2>/dev/null
    [ ! -e kill.done ] || exit 0
    # The lock is held by `timeout`, and the mark is set in its process group: both outlive us, so whoever is told to
    # end the session next neither runs the script again nor overtakes it.
    # shellcheck disable=SC2016 # for that bash to expand
    SESSIOND_TAG=$tag SESSIOND_RUN=${job_run:-$job_pid:$job_start:$job_boot.0} \
      timeout -k 5 "$1" bash -c ': >kill.done; exec bash kill.sh 9>&-' </dev/null >>logs.out 2>&1
  ) 9<>kill.sh 2>/dev/null
}
