# shellcheck shell=bash
# Free ports and their reservations. A reservation is /tmp/PORT.port.used with "PID START TAG": the session's watcher,
# its start in clock ticks since boot, so that a reused pid is not mistaken for it, and the session's mark. What a
# session reserved is also in its folder, in `ports`, a port a line, so that it can be released whatever became of the
# watcher.

# Every TCP socket: its local port in hexadecimal, a colon, and for listeners the inode. Fails where the kernel does
# not tell. The others count when a port is chosen: for a minute after a server has closed its connections, another
# one cannot bind its port unless it knows to ask for that (SO_REUSEADDR).
sessiond_sockets() {
  [ -r /proc/net/tcp ] || return 1
  cat /proc/net/tcp /proc/net/tcp6 2>/dev/null |
    awk '$1 != "sl" { print substr($2, length($2) - 3) ":" ($4 == "0A" ? $10 : "") }'
}

# The first and the last port that the kernel gives to outgoing connections.
sessiond_ephemeral() { cat /proc/sys/net/ipv4/ip_local_port_range 2>/dev/null; }

# "PID START" of process $1, or failure if there is none.
sessiond_identity() {
  local stat fields
  read -r stat 2>/dev/null < "/proc/$1/stat" || return 1
  # The name in the second field may hold spaces and brackets; nothing after its last bracket does.
  read -r -a fields <<< "${stat##*) }"
  echo "$1 ${fields[19]}"
}

# Whether the reservation in file $1 is one of ours that nobody stands behind any more.
sessiond_stale() {
  local pid start rest
  [ -f "$1" ] && [ ! -L "$1" ] && [ -O "$1" ] || return 1
  if read -r pid start rest 2>/dev/null < "$1" && [[ $pid =~ ^[0-9]+$ && $start =~ ^[0-9]+$ ]]; then
    [ "$(sessiond_identity "$pid")" != "$pid $start" ]
  else
    # Empty: somebody is about to write it, or never will.
    [ -n "$(find "$1" -mmin +1 2>/dev/null)" ]
  fi
}

# Reserve port $1 for process $2 ("PID START"), or fail. Exclusive creation decides between two sessions. A stale
# reservation is removed under a lock on that very file: of two sessions that found it stale, the later one would
# otherwise remove the new file of the earlier one.
sessiond_reserve() {
  local file=/tmp/$1.port.used
  if sessiond_stale "$file"; then
    # Standard error first: that another session has just removed the file is no line for the service's log.
    # shellcheck disable=SC2094  # opened for its lock alone
    (
      flock -n 9 || exit
      [ "$file" -ef /proc/self/fd/9 ] && sessiond_stale "$file" && rm -f "$file"
    ) 2>/dev/null 9< "$file"
  fi
  # Whatever lies there now is somebody's; a pipe or a link must not even be opened.
  if [ -e "$file" ] || [ -L "$file" ]; then return 1; fi
  echo "$1" >> "$SESSIOND_JOBDIR/ports"
  (set -C && echo "$2 $SESSIOND_TAG" > "$file") 2>/dev/null
}

# Release every reservation that `ports` of the session's folder lists and that bears the session's mark.
sessiond_release() {
  local port mark
  [ -f "$SESSIOND_JOBDIR/ports" ] || return 0
  while read -r port; do
    mark=""
    if [ -f "/tmp/$port.port.used" ]; then read -r _ _ mark < "/tmp/$port.port.used"; fi 2>/dev/null
    if [ "$mark" = "$SESSIOND_TAG" ]; then rm -f "/tmp/$port.port.used"; fi
  done < "$SESSIOND_JOBDIR/ports"
  rm -f "$SESSIOND_JOBDIR/ports"
}

# Print a port that nobody listens on, and reserve it. Ports 6000 to 6063 are X11's. The first round also leaves out
# the ports that the kernel gives to outgoing connections, and those others have reserved; the second takes them
# without a reservation, because anybody can fill /tmp with files. A subshell: the caller's options do not reach it.
sessiond_choose_port() (
  { set +efux +o pipefail; } 2> /dev/null
  IFS=$' \t\n' LC_ALL=C
  umask 077
  first=6064 last=9000
  read -r low high < <(sessiond_ephemeral) || { low=1 high=0; }
  owner=$(sessiond_identity "$SESSIOND_WATCHER") || exit 1
  listing=$(sessiond_sockets) && known=yes || known=""
  for round in polite any; do
    start=$((RANDOM % (last - first + 1)))
    for ((i = 0; i <= last - first; i++)); do
      port=$((first + (start + i) % (last - first + 1)))
      if [ $round = polite ] && ((port >= low && port <= high)); then continue; fi
      if [ -n "$known" ]; then
        printf -v hex '%04X' "$port"
        case $'\n'$listing in *$'\n'"$hex:"*) continue ;; esac
      elif (exec 3<> "/dev/tcp/127.0.0.1/$port") 2>/dev/null; then
        continue
      fi
      if sessiond_reserve "$port" "$owner"; then
        echo "$port"
        exit 0
      elif [ $round = any ] && [ ! -O "/tmp/$port.port.used" ]; then
        echo "$port" >> "$SESSIOND_JOBDIR/ports"
        echo "$port"
        exit 0
      fi
    done
  done
  exit 1
)
