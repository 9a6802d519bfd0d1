# shellcheck shell=sh disable=SC2034,SC2154 # variables are shared between the parts of a script
# Removes what an ended session left in its folder: secrets and what was put there to run it. May be repeated.
#
# Arguments: FOLDER JOB TAG (JOB is empty for a session without one). Keeps the log, how it ended, the scripts that tell
# what was run, the user's files, the mark to stop, and the attempts: a submission that is still on its way must go on
# finding its fence. The job's processes and reservations are on the node, where the runner saw to them; here may only be
# a preparation that the session did not wait for. Nothing is taken from a job that may still run: it is told to go, and
# cleaning up is for another time. Reply: one record: left, what. Exit status: 0 all is gone, 1 not all.

# may_run JOB: whether the job is not known to be over
may_run() {
  find_slurm squeue . || return 0
  state=$(timeout -k 5 60 squeue --noheader --states=all "--name=$tag" -j "$1" -o %T 2>&1 </dev/null) || {
    case $state in *'nvalid job id'*) return 1 ;; esac
    return 0
  }
  case $state in
    '' | COMPLETED | FAILED | CANCELLED | TIMEOUT | DEADLINE | OUT_OF_MEMORY | NODE_FAIL | BOOT_FAIL | PREEMPTED) return 1 ;;
  esac
}

main() {
  outset
  begin
  tag=$3 job_pid=0 job_start=0 job_boot=none left='' files=''
  if cd -- "$1"; then
    # Should a lost job come to a node after all, it ends at once.
    [ -s stop ] || (umask 077 && echo "$(date +%s) force" >stop)
    if [ -n "$2" ] && may_run "$2"; then
      timeout -k 5 60 scancel "--name=$tag" "$2" </dev/null
      answer 1 left "job $2"
    fi
    sweep 2
    remove_ours
  elif [ -e "$1" ]; then
    files=$1
  fi
  [ -z "$left$files" ] || answer 1 left "$left $files"
  answer 0 left ''
}

main "$@" 2>/dev/null </dev/null
