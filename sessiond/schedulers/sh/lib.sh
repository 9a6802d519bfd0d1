# shellcheck shell=sh disable=SC2034,SC2154 # variables are shared between the parts of a script
# Put before every other script of this folder; defines functions and prints nothing.
#
# Replies: "\036sessiond", then records: "\036" and fields joined by "\037", then "\036end\n". No field holds a
# separator or more than 1000 characters, so a reply without its end was cut off.
# An identity "<pid>:<start>:<boot>" is a pid, field 22 of /proc/<pid>/stat, and the kernel's boot id.

US=$(printf '\037')
RS=$(printf '\036')
{ read -r boot </proc/sys/kernel/random/boot_id && read -r host </proc/sys/kernel/hostname; } || exit 71

begin() { printf '\036sessiond'; }

record() {
  separator=$RS
  for field; do
    # A question mark in the place of a separator and what follows it: no valid value ends so.
    case $field in *["$US$RS"]*) field=${field%%["$US$RS"]*}\? ;; esac
    printf '%s%.1000s' "$separator" "$field"
    separator=$US
  done
}

# finish STATUS: the reply is complete
finish() { printf '\036end\n' && exit "$1"; }

# answer STATUS WHAT TEXT: a reply of this one record
answer() {
  record "$2" "$3"
  finish "$1"
}

# outset: relative folders are below the home folder; what is started bears a mark only where that is said
outset() {
  unset SESSIOND_TAG SESSIOND_RUN
  cd "${HOME:-/}" || exit 71
}

# stat_of PID: sets p_state p_parent p_group p_session p_start; fails where no such process is
stat_of() {
  { read -r p_line <"/proc/$1/stat"; } 2>/dev/null || return 1
  # shellcheck disable=SC2086 # after the name's last parenthesis come numbers and one letter
  set -- ${p_line##*) }
  [ $# -ge 20 ] || return 1
  p_state=$1 p_parent=$2 p_group=$3 p_session=$4
  shift 19
  p_start=$1
}

# same PID START: whether this very process still runs (a zombie does not)
same() {
  stat_of "$1" && [ "$p_start" = "$2" ] && case $p_state in [ZXx]) false ;; esac
}

# read_pairs FILE: sets status at run reason server port scheme path, and hostkeys, joined by \037, from at most 16 lines
# KEY=VALUE
read_pairs() {
  status='' at='' run='' reason='' server='' port='' scheme='' path='' hostkeys='' lines=0
  [ -f "$1" ] && [ -r "$1" ] || return 1
  while [ "$lines" -lt 16 ] && { IFS= read -r line || [ -n "$line" ]; }; do
    lines=$((lines + 1)) value=${line#*=} # by hand: `read` would eat a value's last equals sign
    case ${line%%=*} in
      host) server=$value ;;
      status | at | run | reason | port | scheme | path) eval "${line%%=*}=\$value" ;;
      hostkey) hostkeys=$hostkeys${hostkeys:+$US}$value ;;
    esac
  done <"$1"
}
