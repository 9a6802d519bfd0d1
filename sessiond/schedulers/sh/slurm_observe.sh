# shellcheck shell=sh disable=SC2034,SC2154 # variables are shared between the parts of a script
# One look at all of a person's jobs and at what the sessions asked about say in their folders.
#
# Arguments: FOLDER FORMAT: the folder whose setup.sh may be needed to find squeue, the fields to ask squeue for.
# Input: lines FOLDER \037 JOB.
# Reply: a record clock, UTC seconds; jobs, the listing as it is; said, squeue's exit status, its errors; then for each
# line a record: 0 or 1, whether the folder is there, then what `said` of files.sh says. Exit status: 0.

main() {
  outset
  begin
  find_slurm squeue "$1" || missing squeue
  record clock "$(date +%s)"
  ask_jobs jobs "$2"
  asked=$(cat)
  measure
  while IFS=$US read -r dir job; do
    [ -n "$dir" ] || continue
    folder=0
    [ ! -d "$dir" ] || folder=1
    said "$dir" "$folder"
  done <<LIST
$asked
LIST
  finish 0
}

main "$@" 2>/dev/null <<'SESSIOND_PAYLOAD'
SESSIOND_PAYLOAD
