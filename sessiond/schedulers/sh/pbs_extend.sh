# shellcheck shell=sh disable=SC2034,SC2154 # variables are shared between the parts of a script
# Asks PBS for more walltime for a job: it takes a whole limit, so what is there now is asked first.
#
# Arguments: FOLDER JOB TAG SECONDS. Reply: answer, the new limit in seconds, 0 where the job has none; said, exit status
# and errors of the command that failed, else 0. Exit status: 0; 69 there is no such command.

main() {
  outset
  begin
  tag=$3
  find_command qalter "$1" || missing qalter
  state_of "$2" || { record answer '' && record said "$rc" "$told" && finish 0; }
  [ "$state" != gone ] || { record answer '' && record said 153 "qalter: the job is over" && finish 0; }
  limit=$(printf '%s\n' "$told" | sed -n 's/^[[:space:]]*Resource_List.walltime = \([0-9:]*\)$/\1/p' | head -n 1)
  [ -n "$limit" ] || { record answer 0 && record said 0 '' && finish 0; }
  seconds "$limit"
  limit=$((total + $4))
  err=$(plainly qalter -l "walltime=$limit" "$2" 2>&1 </dev/null)
  rc=$?
  # Its runner, which ends the session in good time, may have no other way to learn of it.
  [ "$rc" -ne 0 ] || ! cd -- "$1" 2>/dev/null || { (umask 077 && echo "$limit" >pbs.limit.new) && mv -f pbs.limit.new pbs.limit; }
  record answer "$limit"
  record said "$rc" "$err"
  finish 0
}

main "$@" 2>/dev/null </dev/null
