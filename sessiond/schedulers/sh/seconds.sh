# shellcheck shell=sh disable=SC2034,SC2154 # variables are shared between the parts of a script
# Put before pbs_extend.sh and pbs_run.sh: reading times. Defines a function, prints nothing.

# seconds TIME: sets total to the seconds of H:MM:SS, MM:SS or SS
seconds() {
  total=0
  IFS=:
  # shellcheck disable=SC2086 # a word each
  set -- $1
  unset IFS
  for part; do
    # No leading zeros: they would make it octal.
    while [ "$part" != "${part#0}" ]; do part=${part#0}; done
    case ${part:=0} in *[!0-9]*) total=0 && return 1 ;; esac
    total=$((total * 60 + part))
  done
}
