# shellcheck shell=sh disable=SC2034,SC2154 # variables are shared between the parts of a script
# Tells a session's job to go. May be repeated.
#
# Arguments: FOLDER JOB TAG PATIENCE: the seconds within which the job's runner ends it by itself once told (0: end it now).
# Reply: one record: sent; or said, scancel's exit status and words. Exit status: 0 told or not there, 1 not told, 69.
#
# A mark in the folder comes first: a job that is only just starting finds it and ends. A waiting job is removed; the
# runner of one that runs is told to run the kill script and end the rest on its node. A suspended one cannot be told
# anything but to go, nor one whose runner had its time. Only a job with the session's own mark is told: a controller that
# crashed may have given its number to another (measured, Slurm 22.05).

# tell ARGUMENT...: an unknown or finished job is none (measured, Slurm 22.05: exit 0 and silent, with a filter exit 1
# and "Invalid job id specified"), and one that waits takes no signal ("Job can not be altered now", exit 228).
tell() {
  err=$(timeout -k 5 60 scancel ${only:+"$only"} "$@" 2>&1 </dev/null) && return
  rc=$?
  case $err in
    *'nvalid job id'* | *'already completing'* | *'can not be altered now'* | *'not running'*) ;;
    *) record said "$rc" "$err" && finish 1 ;;
  esac
}

main() {
  outset
  begin
  tag=$3 patience=$4 now=$(date +%s) soft=''
  find_command scancel "$1" || missing scancel
  ! cd -- "$1" 2>/dev/null || ! in_time || soft=yes
  find_mark "$2"
  if [ -n "$soft" ]; then
    tell --state=PENDING "$2"
    # Before the signal, for which scancel would wait until the job goes on (measured, for more than a minute).
    tell --state=SUSPENDED "$2"
    tell --batch --signal=TERM "$2"
  else
    tell "$2"
  fi
  answer 0 sent ''
}

main "$@" 2>/dev/null </dev/null
