# shellcheck shell=sh disable=SC2034,SC2154 # variables are shared between the parts of a script
# Asks everybody who may know how a job ended.
#
# Arguments: FOLDER JOB TAG. Reply: a record clock, UTC seconds; 0 or 1, whether the folder is there, with what `said` of
# files.sh says; account, sacct's lines; said, its exit status, its errors; control, scontrol's record of the job; said,
# the same of scontrol. Exit status: 0; 69 there is no scontrol.

main() {
  outset
  begin
  find_slurm scontrol "$1" || missing scontrol
  record clock "$(date +%s)"
  asked=$1$US
  measure
  folder=0
  [ ! -d "$1" ] || folder=1
  said "$1" "$folder"
  # With -j the window, which begins at midnight, does not matter; one is given all the same, for some versions it does.
  ask account 60 env SLURM_TIME_FORMAT=%s sacct -X -n -P -S now-30days "--name=$3" -j "$2" -o JobIDRaw,State,ExitCode,End,Reason
  ask control 60 env SLURM_TIME_FORMAT=%s scontrol -o show job "$2"
  finish 0
}

main "$@" 2>/dev/null </dev/null
