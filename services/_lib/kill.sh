# shellcheck shell=bash
# What a kill template finds around it. Service folders write scripts that end their processes by way of ssh to the node
# where they were started, from a login node. Kill templates run on that node, where ssh to the node itself may well not
# be possible: a command for this very host is run here.

# Whether $1, with or without USER@, is this host.
sessiond_is_here() {
  local host=${1##*@} name
  for name in localhost 127.0.0.1 ::1 "$HOSTNAME" "${HOSTNAME%%.*}" "$(hostname 2>/dev/null)" "${SESSIOND_NODE-}"; do
    if [ -n "$name" ] && [[ $host = "$name" || $host = "${name%%.*}" ]]; then return 0; fi
  done
  return 1
}

# ssh(1), as called by scripts: a command for this host is given to a shell here, as ssh would do there. To others nobody
# can answer a question for a password now.
ssh() {
  local words=("$@")
  while [ $# -gt 0 ]; do
    case $1 in
      -[BbcDEeFIiJLlmOopQRSWw]) shift 2 || break ;;
      -*) shift ;;
      *) break ;;
    esac
  done
  if [ $# -gt 0 ] && sessiond_is_here "$1"; then
    shift
    if [ $# -gt 0 ]; then (cd ~ && exec bash -c "$*"); fi
  else
    command ssh -o BatchMode=yes -o ConnectTimeout=10 "${words[@]}"
  fi
}

export -f sessiond_is_here ssh
