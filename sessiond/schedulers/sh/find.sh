# shellcheck shell=sh disable=SC2034,SC2154 # variables are shared between the parts of a script
# Settles whether an attempt started its runner; if it did not, fences it, so that it never will.
#
# Arguments: FOLDER ATTEMPT. Reply: one record: found, identity; or absent; or unsettled, why.
# Exit status: 0 found, 76 absent for good, 75 not settled.

main() {
  outset
  begin
  reason=$(cd -- "$1" 2>&1) || answer 75 unsettled "$reason"
  cd -- "$1" || exit 75
  fence=attempt.$2.$host.$$
  if [ ! -e "attempt.$2" ]; then
    reason=$( (umask 077 && echo fenced >"$fence") 2>&1) || answer 75 unsettled "$reason"
    sync "$fence" 2>/dev/null
    # What counts is what the link says in the end, whoever made it.
    ln "$fence" "attempt.$2" 2>/dev/null
    rm -f "$fence"
  fi
  reason=$( (read -r claimed _ <"attempt.$2" && echo "$claimed") 2>&1) || answer 75 unsettled "${reason:-an empty claim}"
  case $reason in
    fenced) answer 76 absent '' ;;
    *:*:*) answer 0 found "$reason" ;;
  esac
  answer 75 unsettled "the claim of attempt $2 cannot be understood"
}

main "$@" </dev/null
