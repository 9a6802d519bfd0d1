# shellcheck shell=sh disable=SC2034,SC2154 # variables are shared between the parts of a script
# What a session without a scheduler left behind it.
#
# Arguments: FOLDER. Reply: one record: 0 or 1, whether the folder is there, with what `said` of files.sh says. Exit
# status: 0.

main() {
  outset
  begin
  asked=$1$US
  measure
  folder=0
  [ ! -d "$1" ] || folder=1
  said "$1" "$folder"
  finish 0
}

main "$@" 2>/dev/null </dev/null
