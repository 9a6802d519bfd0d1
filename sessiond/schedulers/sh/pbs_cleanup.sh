# shellcheck shell=sh disable=SC2034,SC2154 # variables are shared between the parts of a script
# Put after pbs.sh before batch_cleanup.sh: whether a job is over. Defines functions, prints nothing.

# may_run JOB: whether the job is not known to be over
may_run() {
  find_command qstat . || return 0
  state_of "$1" || return 0
  [ "$state" != gone ]
}

tell_to_go() { plainly qdel "$1"; }
