# shellcheck shell=sh disable=SC2034,SC2154 # variables are shared between the parts of a script
# Waits until a service says where it listens. No scheduler is asked: a session's own script writes it down.
#
# Arguments: SECONDS, how long to wait. Input: lines FOLDER \037 JOB \037 RESTARTS; what an earlier run than JOB.RESTARTS
# wrote is no news. Reply: for each line with news its number (from 0) and the lines of its endpoint file, as fields.
# Exit status: 0, with news or without.

# news NUMBER FOLDER JOB RESTARTS: reports what is new of one session
news() {
  [ -f "$2/endpoint" ] && [ -r "$2/endpoint" ] || return
  IFS='=' read -r key written <"$2/endpoint" && [ "$key" = run ] || return
  case $written in "$3".*) again=${written#"$3".} ;; *) return ;; esac
  case $again in '' | *[!0-9]* | ??????*) return ;; esac
  [ "$again" -ge "$4" ] && [ "$(($(wc -c <"$2/endpoint")))" -le 8192 ] || return
  number=$1
  set --
  while [ $# -lt 12 ] && { IFS= read -r line || [ -n "$line" ]; }; do set -- "$@" "$line"; done <"$dir/endpoint"
  record "$number" "$@"
  found=1
}

look() {
  line_number=0
  while IFS=$US read -r dir job restarts; do
    [ -z "$dir" ] || news "$line_number" "$dir" "$job" "${restarts:-0}"
    line_number=$((line_number + 1))
  done <<LIST
$asked
LIST
}

main() {
  outset
  begin
  asked=$(cat) found=''
  read -r now _ </proc/uptime
  until=$((${now%.*} + $1))
  while :; do
    look
    [ -z "$found" ] || break
    read -r now _ </proc/uptime
    [ "${now%.*}" -lt "$until" ] || break
    sleep 0.5 2>/dev/null || sleep 1
  done
  finish 0
}

main "$@" 2>/dev/null <<'SESSIOND_PAYLOAD'
SESSIOND_PAYLOAD
