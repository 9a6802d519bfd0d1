# shellcheck shell=sh disable=SC2034,SC2154 # variables are shared between the parts of a script
# The runner: the process a session's job id names. Lies in the session's folder and is started there, detached.
#
# Arguments: ATTEMPT [WALLTIME [GRACE]], in seconds; 0: no limit. Environment: SESSIOND_TAG.
# Claims attempt.ATTEMPT by link(2), which exactly one of all runners and fences can do, runs `bash session.sh`, and
# sees to it that `exit` tells how it ended. Exit status: 0 it has run; 75 no claim could be made; 76 claimed by
# another or fenced: nothing was run. Prints nothing; the session's output goes to logs.out.

# In the background. TERM is ignored because it goes to the whole group; USR1 says that the session is over. It may come
# right after a sleep has begun, before a variable could be given its number: `$!` has it by then.
watch_walltime() {
  trap '' TERM HUP
  trap '[ -z "${!-}" ] || kill -KILL "$!"; exit 0' USR1
  sleep "$walltime" &
  wait "$!"
  : >walltime
  kill -TERM "-$$"
  sleep "$grace" &
  wait "$!"
  record_exit 137 walltime
  kill -KILL "-$$"
}

claim() {
  stat_of "$$" || exit 75
  identity=$$:$p_start:$boot draft=attempt.$1.$host.$$
  (umask 077 && printf '%s %s %s\n' "$identity" "$host" "$(date +%s)" >"$draft") || exit 75
  # A claim must survive a power cut whole: an empty one could be read neither as a job nor as a fence.
  sync "$draft" 2>/dev/null
  # The link's own status is not asked: over NFS a link that was made may be reported as failed.
  ln "$draft" "attempt.$1" 2>/dev/null
  rm -f "$draft"
  read -r claimed _ <"attempt.$1" || exit 75
  [ "$claimed" = "$identity" ] || exit 76
}

main() {
  : "${SESSIOND_TAG:?}"
  stat_of "$$" || exit 75
  [ "$p_group" = "$$" ] || exec setsid sh run.sh "$@"
  # Handlers, not ignored signals: those would be inherited by everything the session runs.
  trap : TERM HUP INT
  claim "$1" 2>/dev/null
  walltime=${2:-0} grace=${3:-30} watcher=''
  export SESSIOND_RUN="$identity.0"
  (umask 077 && : >>logs.out)
  if [ "$walltime" -gt 0 ]; then
    watch_walltime 2>/dev/null & watcher=$!
  fi
  # In the foreground: a shell makes its background commands deaf to SIGINT, and notebooks interrupt kernels with it.
  bash session.sh </dev/null >>logs.out 2>&1
  ended=$?
  leave
  [ -z "$watcher" ] || kill -USR1 "$watcher" 2>/dev/null
  read_pairs exit
  [ "$run" = "$SESSIOND_RUN" ] || status='' reason=''
  why_ended "$ended"
  if [ -e walltime ]; then
    why=walltime ended=${status:-$ended} status=''
  else
    case $why$reason in *signal:*) ! going_down 2>/dev/null || ended=${status:-$ended} status='' ;; esac
  fi
  [ -n "$status" ] || record_exit "$ended" "$why"
}

main "$@"
