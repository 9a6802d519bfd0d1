# shellcheck shell=sh disable=SC2034,SC2154 # variables are shared between the parts of a script
# One look at many sessions. Per session only the shell's own means are used: 200 sessions take some 80 ms.
#
# Input: lines FOLDER \037 ATTEMPT \037 PID \037 START \037 BOOT.
# Reply: a record boot id, host; then one for each line, in their order: alive (0, 1), folder (0, 1), host and UTC
# seconds of the claim, then what `said` of files.sh says. Exit status: 0.

look() {
  alive=0 folder=0 claim_host='' claim_at=''
  # First the process, then its exit record: one that is gone without a record was killed.
  [ "$5" != "$boot" ] || ! same "$3" "$4" || alive=1
  if [ -d "$1" ] && [ -x "$1" ]; then
    folder=1
    ! fit "$1/attempt.$2" || read -r _ claim_host claim_at _ <"$1/attempt.$2"
  fi
  said "$1" "$alive" "$folder" "$claim_host" "$claim_at"
}

main() {
  outset
  begin
  record "$boot" "$host"
  asked=$(cat)
  measure
  while IFS=$US read -r dir attempt pid start born; do
    [ -z "$dir" ] || look "$dir" "$attempt" "$pid" "$start" "$born"
  done <<LIST
$asked
LIST
  finish 0
}

main "$@" 2>/dev/null <<'SESSIOND_PAYLOAD'
SESSIOND_PAYLOAD
