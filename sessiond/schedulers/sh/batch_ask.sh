# shellcheck shell=sh disable=SC2034,SC2154 # variables are shared between the parts of a script
# Put after slurm.sh or pbs.sh. Puts one question to the scheduler: what it would say to a job, or for more time.
#
# Arguments: FOLDER LINES COMMAND ARGUMENT...; FOLDER: whose setup.sh may be needed to find COMMAND. Input: as many LINES of the
# cluster's setup, where there is no such folder yet; then what COMMAND reads.
# Reply: answer, its output; said, its exit status, its errors. Exit status: 0; 69 there is no COMMAND.

main() {
  outset
  begin
  folder=$1 lines=$2
  shift 2
  while [ "$lines" -gt 0 ]; do
    IFS= read -r line
    own_setup="${own_setup-}$line
"
    lines=$((lines - 1))
  done
  find_command "$1" "$folder" || missing "$1"
  printf '\036answer\037'
  { err=$(timeout -k 5 60 "$@" 2>&1 >&3); } 3>&1
  rc=$?
  record said "$rc" "$err"
  finish 0
}

main "$@" 2>/dev/null <<'SESSIOND_PAYLOAD'
SESSIOND_PAYLOAD
