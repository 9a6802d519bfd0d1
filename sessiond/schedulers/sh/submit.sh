# shellcheck shell=sh disable=SC2034,SC2154 # variables are shared between the parts of a script
# Starts a session's runner, detached, at most once an attempt however often it is asked.
#
# Arguments: FOLDER ATTEMPT TAG WALLTIME GRACE (seconds).
# Reply: one record: found, identity; or fenced; or what and why. Exit status: 0 found (now or by an earlier call);
# 69 this machine lacks bash; 73 the folder cannot be used, nothing was started; 75 not known; 76 fenced, nothing
# was started and never will be.

told() {
  { read -r claimed _ <"attempt.$1"; } 2>/dev/null || return 1
  case $claimed in
    fenced) answer 76 fenced '' ;;
    *:*:*) answer 0 found "$claimed" ;;
  esac
  return 1
}

# In a unit of its own a session outlives the daemon's unit; a kernel killed for memory must not take the rest along.
as_unit() {
  # A login over ssh ends with its connection, and its user manager with the last login unless it lingers
  # (loginctl(1), enable-linger): what must outlive the connection goes without one.
  [ -z "${SSH_CONNECTION-}" ] || [ -e "/var/lib/systemd/linger/$(id -un)" ] || return 1
  [ -S "${XDG_RUNTIME_DIR:-/nonexistent}/systemd/private" ] && command -v systemd-run >/dev/null || return 1
  unit=sessiond-${SESSIOND_TAG#sd-}-$1
  runner="$*"
  set --
  for name in PATH HOME USER LOGNAME SHELL TERM TZ TMPDIR LANG LANGUAGE LC_ALL LC_CTYPE LC_COLLATE LC_MESSAGES \
    LC_MONETARY LC_NUMERIC LC_TIME XDG_RUNTIME_DIR DBUS_SESSION_BUS_ADDRESS DISPLAY WAYLAND_DISPLAY XAUTHORITY \
    SSH_AUTH_SOCK LD_LIBRARY_PATH MODULEPATH MODULESHOME SESSIOND_TAG; do
    eval "value=\${$name-}"
    [ -z "$value" ] || set -- "$@" "--setenv=$name=$value"
  done
  # shellcheck disable=SC2086 # the runner's arguments are numbers
  timeout -k 2 20 systemd-run --user --collect --quiet "--unit=$unit" "--description=sessiond session ${unit#sessiond-}" \
    --property=KillMode=control-group --property=OOMPolicy=continue --property=TimeoutStopSec=40 \
    "--working-directory=$PWD" "$@" -- /bin/sh run.sh $runner </dev/null >/dev/null 2>&1
}

# Job control, because without it a shell makes background commands deaf to SIGINT for good; bash, because it alone
# has job control without a terminal.
as_orphan() {
  # shellcheck disable=SC2016 # for that bash to expand
  bash -c 'set -m; setsid sh run.sh "$@" &' run "$@" </dev/null >/dev/null 2>&1 3>&- 4>&- 5>&- 6>&- 7>&- 8>&- 9>&-
}

main() {
  outset
  begin
  reason=$({ cd -- "$1" && [ -r run.sh ]; } 2>&1) || answer 73 folder "${reason:-there is no run.sh in $1}"
  cd -- "$1" || exit 75
  told "$2"
  command -v bash >/dev/null || answer 69 bash "there is no bash on $host"
  unset NOTIFY_SOCKET WATCHDOG_PID WATCHDOG_USEC LISTEN_PID LISTEN_FDS LISTEN_FDNAMES INVOCATION_ID JOURNAL_STREAM
  export SESSIOND_TAG="$3"
  # A runner started twice, by a unit that only seemed to fail, is no harm: the second finds the claim and leaves.
  as_unit "$2" "$4" "$5" || as_orphan "$2" "$4" "$5"
  nap=0.05 left=200
  sleep 0.05 2>/dev/null || { nap=1 && left=10; }
  while [ "$left" -gt 0 ]; do
    told "$2"
    left=$((left - 1))
    sleep "$nap"
  done
  answer 75 unknown "the session's runner has not reported within 10 seconds"
}

main "$@" </dev/null
