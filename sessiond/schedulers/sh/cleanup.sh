# shellcheck shell=sh disable=SC2034,SC2154 # variables are shared between the parts of a script
# Removes what an ended session left: processes, secrets, port reservations, files. May be repeated.
#
# Arguments: FOLDER TAG BOUND PID START BOOT (the last three empty for a session without a job); BOUND: seconds the
# kill script may take, which runs if something ran and it has not run yet.
# Keeps the log, how it ended, the scripts that tell what was run, the user's files, and the claims: a submission that
# is still on its way must go on finding its fence. Reply: one record: left, pids, files. Exit status: 0 all is gone, 1 not all.

main() {
  outset
  begin
  tag=$2 job_pid=${4:-0} job_start=$5 job_boot=$6 left='' files='' ran=''
  if cd -- "$1"; then
    for file in attempt.*; do
      ! { read -r claimed _ <"$file" && [ "$claimed" != fenced ]; } || ran=1
    done
    [ -z "$ran" ] || run_kill_script "$3"
    sweep 2
    [ ! -f ports ] || free_ports
    remove_ours
  elif [ -e "$1" ]; then
    files=$1
  else
    sweep 2
  fi
  [ -z "$left$files" ] || answer 1 left "$left $files"
  answer 0 left ''
}

main "$@" 2>/dev/null </dev/null
