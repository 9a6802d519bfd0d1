# shellcheck shell=sh disable=SC2034,SC2154 # variables are shared between the parts of a script
# One look at many sessions. Per session only the shell's own means are used: 200 sessions take some 80 ms.
#
# Input: lines FOLDER \037 ATTEMPT \037 PID \037 START \037 BOOT.
# Reply: a record boot id, host; then one for each line, in their order: alive (0, 1), folder (0, 1), host and UTC
# seconds of the claim, exit status, at, run, reason, failure, endpoint's run, host, port, scheme. Exit status: 0.

nl='
'

# Whether a file is one that can be read without harm: there, no pipe, and not large.
fit() {
  [ -f "$1" ] && [ -r "$1" ] && case $large in *"$nl$1$nl"*) false ;; esac
}

look() {
  alive=0 folder=0 claim_host='' claim_at='' failure='' status='' at='' run='' reason=''
  # First the process, then its exit record: one that is gone without a record was killed.
  [ "$5" != "$boot" ] || ! same "$3" "$4" || alive=1
  if [ -d "$1" ] && [ -x "$1" ]; then
    folder=1
    ! fit "$1/attempt.$2" || read -r _ claim_host claim_at _ <"$1/attempt.$2"
    ! fit "$1/failure" || IFS= read -r failure <"$1/failure"
    ! fit "$1/exit" || read_pairs "$1/exit"
  fi
  set -- "$1" "$status" "$at" "$run" "$reason"
  run='' server='' port='' scheme=''
  [ "$folder" = 0 ] || ! fit "$1/endpoint" || read_pairs "$1/endpoint"
  shift
  record "$alive" "$folder" "$claim_host" "$claim_at" "$@" "$failure" "$run" "$server" "$port" "$scheme"
}

main() {
  outset
  begin
  record "$boot" "$host"
  asked=$(cat)
  set -f
  IFS=$nl
  # shellcheck disable=SC2046 # one folder a line
  set -- $(printf '%s\n' "$asked" | cut -d "$US" -f 1)
  large=''
  [ $# -eq 0 ] || large=$nl$(find -L "$@" -maxdepth 1 -type f -size +8 2>/dev/null)$nl
  unset IFS
  while IFS=$US read -r dir attempt pid start born; do
    [ -z "$dir" ] || look "$dir" "$attempt" "$pid" "$start" "$born"
  done <<LIST
$asked
LIST
  finish 0
}

main "$@" 2>/dev/null <<'SESSIOND_PAYLOAD'
SESSIOND_PAYLOAD
