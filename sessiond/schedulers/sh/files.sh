# shellcheck shell=sh disable=SC2034,SC2154 # variables are shared between the parts of a script
# Put after lib.sh before observe.sh and batch_observe.sh: what sessions say in files of their folders. Defines functions.

nl='
'

# measure: `asked` being lines that begin with a folder and \037, sets `large` to the files there that are not to be read
measure() {
  set -f
  IFS=$nl
  # shellcheck disable=SC2046 # one folder a line
  set -- $(printf '%s\n' "$asked" | cut -d "$US" -f 1)
  large=''
  # Reading the folders also makes an NFS client notice what was written elsewhere.
  [ $# -eq 0 ] || large=$nl$(find -L "$@" -maxdepth 1 -type f -size +8 2>/dev/null)$nl
  unset IFS
}

# fit FILE: whether it can be read without harm: there, no pipe, and not large
fit() {
  [ -f "$1" ] && [ -r "$1" ] && case $large in *"$nl$1$nl"*) false ;; esac
}

# said FOLDER FIELD...: a record of the fields, then of what the folder's files say: exit status, at, run, reason, the
# failure, then the endpoint's run, host, port, scheme, path and host keys, each a field
said() {
  said_in=$1 failure='' status='' at='' run='' reason=''
  shift
  if [ -d "$said_in" ] && [ -x "$said_in" ]; then
    ! fit "$said_in/failure" || IFS= read -r failure <"$said_in/failure"
    ! fit "$said_in/exit" || read_pairs "$said_in/exit"
  fi
  set -- "$@" "$status" "$at" "$run" "$reason" "$failure"
  run='' server='' port='' scheme='' path='' hostkeys=''
  if [ -d "$said_in" ] && [ -x "$said_in" ] && fit "$said_in/endpoint"; then read_pairs "$said_in/endpoint"; fi
  set -- "$@" "$run" "$server" "$port" "$scheme" "$path"
  IFS=$US
  # shellcheck disable=SC2086 # a field a key
  set -- "$@" $hostkeys
  unset IFS
  record "$@"
}
