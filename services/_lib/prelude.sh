# shellcheck shell=bash
# What a start template finds around it: its working directory, the functions it may call, its port. No shell option
# is set here and none relied on: the template runs with bash's defaults and may change them.
cd "$SESSIOND_JOBDIR" || exit 1
# shellcheck source=ports.sh
. "$SESSIOND_JOBDIR/lib/ports.sh" || exit 1

# A prefix for commands in the workspace; empty where the service runs there itself.
sshusercontainer=""
export sshusercontainer
export SESSIOND_SHELL=$$

# Replace file $1 of the session's folder by standard input, all at once, for its owner only.
sessiond_write() (
  umask 077
  draft=$SESSIOND_JOBDIR/.$1.$BASHPID
  set +C
  cat > "$draft" && mv -f "$draft" "$SESSIOND_JOBDIR/$1"
)

# Say why the service cannot run, and end the session with status 1, from wherever this is called. The first line of
# the message is for people; the watcher publishes it. Only the watcher can end the template from a subshell, and it
# is told only if it is still the process we know, not another one with its number.
displayErrorMessage() {
  local LC_ALL=C IFS=' ' message
  message=${*-}
  printf '%s\n' "$message" >&2
  message=${message%%$'\n'*}
  message=${message//[[:cntrl:]]/}
  printf '%s\n' "${message:-The service gave up without saying why.}" | cut -b 1-1000 | sessiond_write .failure
  if [ "$BASHPID" != "$SESSIOND_SHELL" ] && grep -qzxF "SESSIOND_TAG=$SESSIOND_TAG" "/proc/$SESSIOND_WATCHER/environ"; then
    kill -USR1 "$SESSIOND_WATCHER"
  fi
  exit 1
}

# Print a free port between 6000 and 9000, and nothing else.
findAvailablePort() {
  sessiond_choose_port || displayErrorMessage "No free port between 6000 and 9000 on $HOSTNAME."
}

if [ -z "${servicePort-}" ]; then
  servicePort=$(findAvailablePort) || exit 1
elif ! [[ $servicePort =~ ^[1-9][0-9]{0,4}$ ]] || ((servicePort > 65535)); then
  displayErrorMessage "servicePort must be a port number from 1 to 65535."
fi
export servicePort
export -f sessiond_sockets sessiond_ephemeral sessiond_identity sessiond_stale sessiond_reserve sessiond_choose_port
export -f sessiond_write displayErrorMessage findAvailablePort
printf 'run=%s\nhost=%s\nport=%s\nscheme=http\n' "$SESSIOND_RUN" "$SESSIOND_HOST" "$servicePort" | sessiond_write endpoint
