# shellcheck shell=bash
# What a start template finds around it: its working directory, the functions it may call, its port, and where to
# listen. No shell option is set here and none relied on: the template runs with bash's defaults and may change them.
cd "$SESSIOND_JOBDIR" || exit 1
# shellcheck source=ports.sh
. "$SESSIOND_JOBDIR/lib/ports.sh" || exit 1
# shellcheck source=socket.sh
. "$SESSIOND_JOBDIR/lib/socket.sh" || exit 1
# shellcheck source=scp.sh
. "$SESSIOND_JOBDIR/lib/scp.sh" || exit 1

# A prefix for commands in the workspace. There is no way back to it, and what templates ask of it is done here.
sshusercontainer="bash $SESSIOND_JOBDIR/lib/here.sh"
# To a node the login node may have another name than to the world.
case $jobschedulertype in SLURM | PBS) resource_privateIp=${SLURM_SUBMIT_HOST:-${PBS_O_HOST:-$resource_privateIp}} ;; esac
export sshusercontainer resource_privateIp
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
  # Templates trace their commands; what is traced in here would be the last that people read.
  { set +x; } 2> /dev/null
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
# Two files that scripts of service folders know.
echo "$servicePort" | sessiond_write service.port
echo "$SESSIOND_SHELL" | sessiond_write "$job_number.pid"

# The node's public host keys, up to six, a line each: whoever connects to it through SSH can then tell that it is this
# node. A service on the host that is reached anyhow needs none. $1 is the folder of the keys.
sessiond_host_keys() (
  set +efu
  IFS=$' \t\n' LC_ALL=C
  [ "$SESSIOND_HOST" != 127.0.0.1 ] || exit 0
  for file in "$1"/ssh_host_*_key.pub; do
    { read -r kind key _ < "$file"; } 2>/dev/null || continue
    if [[ $kind =~ ^[a-z0-9@.-]+$ && $key =~ ^[A-Za-z0-9+/]+=*$ ]]; then echo "hostkey=$kind $key"; fi
  done | head -n 6
)

# Publish where the service will listen; $1 is the line that says it.
sessiond_publish_endpoint() {
  {
    printf 'run=%s\nhost=%s\n%s\nscheme=%s\n' "$SESSIOND_RUN" "$SESSIOND_HOST" "$1" "$SESSIOND_SCHEME"
    sessiond_host_keys /etc/ssh
  } | sessiond_write endpoint
}

# For a service that will listen on $SESSIOND_LISTEN_SOCKET and not on its port: publish that, and make way for it. Fails
# where there is no such socket to listen on; the port it is then. (SESSIOND_SOCKET is another: the daemon's own.)
sessiond_listen_socket() {
  [ -n "${SESSIOND_LISTEN_SOCKET-}" ] || return 1
  rm -f "$SESSIOND_LISTEN_SOCKET"
  sessiond_publish_endpoint "path=$SESSIOND_LISTEN_SOCKET"
}

SESSIOND_BIND=127.0.0.1 SESSIOND_LISTEN_SOCKET=""
case $SESSIOND_LISTEN in
  any) SESSIOND_BIND=0.0.0.0 ;;
  socket) if sessiond_folder=$(sessiond_socket_folder); then SESSIOND_LISTEN_SOCKET=$sessiond_folder/s.sock; fi ;;
esac
export SESSIOND_BIND SESSIOND_LISTEN_SOCKET
export -f sessiond_sockets sessiond_ephemeral sessiond_identity sessiond_stale sessiond_reserve sessiond_choose_port
export -f sessiond_write displayErrorMessage findAvailablePort scp sessiond_workspace_path
export -f sessiond_host_keys sessiond_publish_endpoint sessiond_listen_socket
sessiond_publish_endpoint "port=$servicePort"
