# shellcheck shell=sh disable=SC2034,SC2154 # variables are shared between the parts of a script
# Put after slurm.sh before batch_cleanup.sh: whether a job is over. Defines functions, prints nothing.

# may_run JOB: whether the job is not known to be over
may_run() {
  find_command squeue . || return 0
  find_mark "$1"
  state=$(timeout -k 5 60 env LC_ALL=C squeue --noheader --all --states=all ${only:+"$only"} -j "$1" -o %T 2>&1 </dev/null) || {
    case $state in *'nvalid job id'*) return 1 ;; esac
    return 0
  }
  case $(printf '%s\n' "$state" | sed "$ASIDE") in
    '' | COMPLETED | FAILED | CANCELLED | TIMEOUT | DEADLINE | OUT_OF_MEMORY | NODE_FAIL | BOOT_FAIL | PREEMPTED) return 1 ;;
  esac
}

tell_to_go() { timeout -k 5 60 scancel ${only:+"$only"} "$1"; }
