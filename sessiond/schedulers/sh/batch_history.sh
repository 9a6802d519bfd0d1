# shellcheck shell=sh disable=SC2034,SC2154 # variables are shared between the parts of a script
# Put after slurm_look.sh or pbs_look.sh. Asks everybody who may know how a job ended.
#
# Arguments: FOLDER JOB TAG. Reply: a record clock, UTC seconds; what `own_marks` says, if anything; 0 or 1, whether the
# folder is there, with what `said` of files.sh says; then what the scheduler's own programs say, as `ask_history` asks
# them. Exit status: 0; 69 there is no such program.

main() {
  outset
  begin
  find_command "$HISTORIAN" "$1" || missing "$HISTORIAN"
  record clock "$(date +%s)"
  asked=$1$US
  measure
  own_marks "$1"
  folder=0
  [ ! -d "$1" ] || folder=1
  said "$1" "$folder"
  ask_history "$@"
  finish 0
}

main "$@" 2>/dev/null </dev/null
