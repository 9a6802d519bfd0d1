# shellcheck shell=bash
# The session's outer shell. It runs session.sh once more, in a shell of the service's own, waits, and publishes how
# that ended. Two shells, because a template may do to its own what it likes: exec its server, set its own traps, end
# in a syntax error; none of it can lose the exit record, and a template that lost its port is simply started again.

# In the service's shell there is nothing to watch. Asking for our parent, and not just for the variable, keeps a
# session that was started from within another session apart from it.
if [ "${SESSIOND_WATCHER-}" = "$PPID" ]; then return 0; fi

export SESSIOND_WATCHER=$$
# A scheduler gives a requeued job the number it had, so the run is told apart by the restarts.
export SESSIOND_RUN=${SESSIOND_RUN:-${SLURM_JOB_ID:-$$}.${SLURM_RESTART_COUNT:-0}}
# These come from the form, or from this very session, or not at all.
unset servicePort service_load_env SESSIOND_LISTEN_SOCKET

cd "$SESSIOND_JOBDIR" || exit 1
rm -f endpoint exit failure .failure notified
# shellcheck source=ports.sh
. lib/ports.sh || exit 1
# shellcheck source=socket.sh
. lib/socket.sh || exit 1
# What an earlier run left that was killed.
sessiond_release_socket

sessiond_caught="" sessiond_status=1 sessiond_retries=5 sessiond_scouting=""

# End the service's shell: politely, after six seconds not. That is less than the ten that PBS and `stop` give; on a machine
# with three times the work it can do Jupyter needs more than three (measured, Jupyter Server 2).
sessiond_end() {
  local tenths
  kill -TERM "$sessiond_service" 2>/dev/null
  for ((tenths = 0; tenths < 60; tenths++)); do
    kill -0 "$sessiond_service" 2>/dev/null || return 0
    sleep 0.1
  done
  kill -KILL "$sessiond_service" 2>/dev/null
}

# A signal for the session: remember the first, pass it on.
# shellcheck disable=SC2329  # called by traps
sessiond_signal() {
  sessiond_interrupted=yes
  sessiond_caught=${sessiond_caught:-$1}
  sessiond_end
}

# Publish how the session ended. From here on nothing may interrupt it. A child that is ended by a signal before it has
# dropped the traps it was born with runs this, too (measured, bash 5.2.15: every third that TERM finds just forked).
# shellcheck disable=SC2329  # called by a trap
sessiond_publish() {
  [ "$BASHPID" = "$$" ] || return
  trap '' TERM INT HUP USR1
  [ -z "$sessiond_scouting" ] || kill "$sessiond_scouting" 2>/dev/null
  local reason=exit
  umask 077
  if [ -n "$sessiond_caught" ]; then
    reason=signal:$sessiond_caught
    sessiond_status=$((128 + $(kill -l "$sessiond_caught")))
  elif [ -f .failure ]; then
    mv -f .failure failure
    sessiond_status=1
  elif ((sessiond_status > 128)) && kill -l $((sessiond_status - 128)) > /dev/null 2>&1; then
    reason=signal:$(kill -l $((sessiond_status - 128)))
  fi
  sessiond_release
  sessiond_release_socket
  printf 'status=%s\nat=%(%s)T\nrun=%s\nreason=%s\n' "$sessiond_status" -1 "$SESSIOND_RUN" "$reason" > .exit.$$
  mv -f .exit.$$ exit
  exit "$sessiond_status"
}

# Processes whose environment holds the word $1, as /proc/PID.
sessiond_processes() {
  grep -lzxF "$1" /proc/[0-9]*/environ 2>/dev/null | sed 's|/environ$||'
}

# The sockets that listen on port $1, by their inodes.
sessiond_listeners() {
  local hex
  printf -v hex '%04X' "$1"
  sessiond_sockets | sed -n "s/^$hex:\([0-9]\)/\1/p"
}

# Whether one of the sockets $@ is the session's. A socket's owner is whoever has it among its open files. The session's
# own processes are marked in their environment; those that write over it, as nginx does, are at least in the watcher's
# process session, unless they have left that, too.
sessiond_owns() {
  local inode processes
  [ $# -gt 0 ] || return 1
  # shellcheck disable=SC2153  # from the environment
  mapfile -t processes < <(sessiond_processes "SESSIOND_TAG=$SESSIOND_TAG"; sessiond_session)
  for inode; do
    if [ -n "$(find "${processes[@]/%//fd}" -lname "socket:\[$inode\]" 2>/dev/null)" ]; then return 0; fi
  done
  return 1
}

# The processes of the watcher's process session, as /proc/PID.
sessiond_session() {
  cat /proc/[0-9]*/stat 2>/dev/null |
    awk -v watcher="$$" '{ pid = $1; sub(/^.*\) /, ""); session[pid] = $4 }
      END { for (pid in session) if (session[pid] == session[watcher]) print "/proc/" pid }'
}

# The port that was published, if it is one.
sessiond_published() { sed -n 's/^port=//p' endpoint 2>/dev/null; }

# Whether another program listens on the port that was chosen for the service, and the service itself does not.
sessiond_lost_port() {
  local sockets
  sessiond_port=$(sessiond_published)
  [ -n "$sessiond_port" ] && grep -qx "$sessiond_port" ports 2>/dev/null || return 1
  mapfile -t sockets < <(sessiond_listeners "$sessiond_port")
  [ ${#sockets[@]} -gt 0 ] && ! sessiond_owns "${sockets[@]}"
}

# For a service that may listen on the session's own port instead of the one that was chosen for it: look until one of
# the two is listened on, and publish the other one once that was so twice in a row.
sessiond_scout() {
  local nap port sockets seen=0
  exec {nap}<> <(:)
  while read -rt 1 -u "$nap" || true; do
    port=$(sessiond_published)
    [ -n "$port" ] || continue
    [ "$port" != "$SESSIOND_OPEN_PORT" ] || return
    mapfile -t sockets < <(sessiond_listeners "$port")
    if sessiond_owns "${sockets[@]}"; then return; fi
    mapfile -t sockets < <(sessiond_listeners "$SESSIOND_OPEN_PORT")
    if ! sessiond_owns "${sockets[@]}"; then
      seen=0
    elif ((++seen == 2)); then
      umask 077
      sed "s/^port=.*/port=$SESSIOND_OPEN_PORT/" endpoint > .endpoint.scout && mv -f .endpoint.scout endpoint
      return
    fi
  done
}

# End what the template left running, before it is started again.
sessiond_sweep() {
  local signal process processes
  for signal in TERM KILL; do
    mapfile -t processes < <(sessiond_processes "SESSIOND_TRY=$SESSIOND_TAG.$sessiond_try")
    [ ${#processes[@]} -gt 0 ] || return 0
    for process in "${processes[@]}"; do kill -$signal "${process#/proc/}" 2>/dev/null; done
    [ $signal = KILL ] || sleep 1
  done
}

trap sessiond_publish EXIT
trap 'sessiond_signal TERM' TERM
trap 'sessiond_signal INT' INT
trap 'sessiond_signal HUP' HUP
# displayErrorMessage somewhere below the service's shell. Schedulers send this signal too; then it means nothing here.
trap 'sessiond_interrupted=yes; if [ -f .failure ]; then sessiond_gave_up=yes; sessiond_end; fi' USR1

if [ -n "${SESSIOND_OPEN_PORT-}" ]; then
  sessiond_scout < /dev/null > /dev/null 2>&1 &
  sessiond_scouting=$!
fi
for ((sessiond_try = 0; sessiond_try <= sessiond_retries; sessiond_try++)); do
  sessiond_service="" sessiond_gave_up=""
  # Bash lets background jobs ignore these two signals; a server, and what runs in it, must be open to them.
  (
    trap - INT QUIT
    SESSIOND_TRY=$SESSIOND_TAG.$sessiond_try exec bash "$SESSIOND_JOBDIR/session.sh"
  ) < /dev/null &
  sessiond_service=$!
  # A signal that came before the line above could not be passed on.
  if [ -n "$sessiond_caught$sessiond_gave_up" ]; then sessiond_end; fi
  # A signal ends `wait` early; what it reports then is not the service's end.
  sessiond_interrupted=yes
  while [ -n "$sessiond_interrupted" ]; do
    sessiond_interrupted=""
    # Bash's own word about what was killed, with the lines above in it, does not belong into the session's log.
    wait "$sessiond_service" 2>/dev/null
    sessiond_status=$?
  done
  if [ $sessiond_status = 0 ] || [ -n "$sessiond_caught" ]; then break; fi
  if [ $sessiond_try = $sessiond_retries ] || ! sessiond_lost_port; then break; fi
  echo "sessiond: another program took port $sessiond_port before the service could; trying another port." >&2
  sessiond_sweep
  if [ -n "$sessiond_caught" ]; then break; fi
  rm -f .failure
done
exit "$sessiond_status"
