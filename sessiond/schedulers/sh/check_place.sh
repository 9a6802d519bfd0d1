# shellcheck shell=sh disable=SC2034,SC2154 # variables are shared between the parts of a script
# shellcheck disable=SC2088 # a tilde as it is written in config.toml
# Put after check_ask.sh before check.sh: looking at the folder of sessions and at what a login leaves. Defines functions,
# prints nothing.

look_at_folder() {
  case $1 in
    '~' | '') folder=$HOME ;;
    '~/'*) folder=$HOME/${1#'~/'} ;;
    *) folder=$1 ;;
  esac
  record workdir "$folder"
  place=$folder
  while [ ! -d "$place" ] && [ "$place" != / ] && [ "$place" != . ]; do place=$(dirname "$place"); done
  # A megabyte, since a quota that is used up lets empty files be made.
  trial=$place/.sessiond-check.$$
  said=$( (umask 077 && set -C && head -c 1048576 /dev/zero >"$trial") 2>&1)
  status=$?
  rm -f "$trial"
  last_line "$said"
  record written "$status" "$line" "$place"
  # shellcheck disable=SC2046 # one word each: filesystem, size, used, free, percent, mount point
  set -- $(bound 15 df -Pk "$place" 2>/dev/null | sed -n '2p')
  [ $# -ge 6 ] || return 0
  free=$4 source=$1 point=$6 kind=''
  while read -r _ at type _; do
    [ "$at" != "$point" ] || kind=$type
  done </proc/mounts
  record free "$free" "$source" "$point" "$kind"
}

look_at_linger() {
  answer=unknown
  if [ -e "/var/lib/systemd/linger/$me" ]; then
    answer=yes
  elif command -v loginctl >/dev/null; then
    case $(bound 5 loginctl show-user "$me" --property=Linger 2>/dev/null </dev/null) in
      Linger=yes) answer=yes ;;
      Linger=no) answer=no ;;
    esac
  fi
  record linger "$answer"
}
