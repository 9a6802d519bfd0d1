# shellcheck shell=sh disable=SC2034,SC2154 # variables are shared between the parts of a script
# Tells a session's job to go. May be repeated.
#
# Arguments: FOLDER JOB TAG PATIENCE: the seconds within which the job's runner ends it by itself once told (0: end it now).
# Reply: one record: sent, how (told, forced); or said, exit status and words of the command that failed. Exit status: 0
# told or not there, 1 not told, 69 there is no such command.
#
# A mark in the folder comes first: it is all that a job's runner waits for, which sees it without the server, runs the
# kill script and ends the rest on its node. qdel would leave them ten seconds, and signals everything at once. So only a
# job without a runner is deleted, and one whose runner had its time. qdel's success proves nothing: a job that was told a
# minute and a half ago and is still there is dropped by force (measured, OpenPBS 23.06: such a job ran on for minutes).

FORCED_AFTER_S=90

# tell ARGUMENT...: an unknown or finished job is none (153, 35)
tell() {
  err=$(plainly qdel "$@" 2>&1 </dev/null) && return
  rc=$?
  case $err in
    *'Unknown Job Id'* | *'Job has finished'* | *'nvalid for state'*) ;;
    *) record said "$rc" "$err" && finish 1 ;;
  esac
}

# delete JOB: by force where it was told long ago, and then the session's log says so
delete() {
  # Without the session's folder this is the home folder, where nothing is written.
  [ -n "$folder" ] || { tell "$1" && return; }
  first=''
  [ ! -s pbs.deleted ] || read -r first <pbs.deleted
  case $first in
    '' | *[!0-9]*) (umask 077 && echo "$now" >pbs.deleted) ;;
    *)
      if [ "$((now - first))" -ge "$FORCED_AFTER_S" ] && plainly qdel -W force "$1" >/dev/null 2>&1 </dev/null; then
        [ ! -f logs.out ] || echo "sessiond: the job had not gone $((now - first)) s after qdel: dropped by qdel -W force" >>logs.out
        answer 0 sent forced
      fi
      ;;
  esac
  tell "$1"
}

main() {
  outset
  begin
  tag=$3 patience=$4 now=$(date +%s) soft='' folder='' begun=''
  ! cd -- "$1" 2>/dev/null || folder=$1
  [ -z "$folder" ] || ! in_time || soft=yes
  find_command qdel ${folder:+.} || missing qdel
  state_of "$2" || { record said "$rc" "$told" && finish 1; }
  [ -z "$folder" ] || [ ! -s pbs.began ] || read -r begun _ <pbs.began
  case $state in
    gone) ;;
    R | E) [ -n "$soft" ] && [ "${begun%%.*}" = "${2%%.*}" ] || delete "$2" ;;
    *) delete "$2" ;;
  esac
  answer 0 sent told
}

main "$@" 2>/dev/null </dev/null
