# shellcheck shell=sh disable=SC2034,SC2154 # variables are shared between the parts of a script
# Removes a session's folder, and nothing else. May be repeated.
#
# Arguments: FOLDER. Reply: one record: removed, or refused or kept
# and why. Exit status: 0 it is gone, 1 it could not be removed, 64 that is not a session's folder.

main() {
  outset
  begin
  id=''
  case ${1%/*} in sessiond | */sessiond) id=${1##*/} ;; esac
  case $id in *[!0-9a-z]*) id='' ;; esac
  [ "${#id}" -eq 12 ] || answer 64 refused "$1 is not a session's folder"
  [ ! -L "$1" ] || answer 64 refused "$1 is a link"
  [ -e "$1" ] || answer 0 removed ''
  reason=$(remove "$1" 2>&1) || answer 1 kept "$reason"
  answer 0 removed ''
}

main "$@" </dev/null
