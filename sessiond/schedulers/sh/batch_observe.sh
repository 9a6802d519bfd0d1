# shellcheck shell=sh disable=SC2034,SC2154 # variables are shared between the parts of a script
# Put after slurm_look.sh or pbs_look.sh. One look at a person's jobs and at what the sessions asked about say in their
# folders.
#
# Arguments: FOLDER, whose setup.sh may be needed to find the command, and what `look_at_queue` takes beside it.
# Input: lines FOLDER \037 JOB.
# Reply: a record clock, UTC seconds; jobs, the listing as it is; said, the command's exit status, its errors; then for
# each line what `own_marks` says, if anything, and a record: 0 or 1, whether the folder is there, then what `said` of
# files.sh says. Exit status: 0; 69 there is no such command.

main() {
  outset
  begin
  asked=$(cat)
  find_command "$LISTER" "$1" || missing "$LISTER"
  record clock "$(date +%s)"
  look_at_queue "$@"
  measure
  while IFS=$US read -r dir job; do
    [ -n "$dir" ] || continue
    own_marks "$dir"
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
