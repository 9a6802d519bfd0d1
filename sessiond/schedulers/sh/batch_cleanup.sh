# shellcheck shell=sh disable=SC2034,SC2154 # variables are shared between the parts of a script
# Put after slurm_cleanup.sh or pbs_cleanup.sh. Removes what an ended session left in its folder: secrets and what was put
# there to run it. May be repeated.
#
# Arguments: FOLDER JOB TAG (JOB is empty for a session without one). Keeps the log, how it ended, the scripts that tell
# what was run, the user's files, the mark to stop, and the attempts: a submission that is still on its way must go on
# finding its fence. The job's processes and reservations are on the node, where the runner saw to them; here may only be
# a preparation that the session did not wait for. Nothing is taken from a job that may still run: it is told to go, and
# cleaning up is for another time. Reply: one record: left, what. Exit status: 0 all is gone, 1 not all.

main() {
  outset
  begin
  tag=$3 job_pid=0 job_start=0 job_boot=none left='' files=''
  if cd -- "$1"; then
    # Should a lost job come to a node after all, it ends at once.
    [ -s stop ] || (umask 077 && echo "$(date +%s) force" >stop)
    if [ -n "$2" ] && may_run "$2"; then
      tell_to_go "$2" </dev/null
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
