# shellcheck shell=sh disable=SC2034,SC2154 # variables are shared between the parts of a script
# Ends a session: its kill script, then TERM, then KILL, to all its processes. May be repeated.
#
# Arguments: FOLDER TAG BOUND GRACE PID START BOOT ATTEMPT; BOUND: seconds the kill script may take (0: skip it); GRACE: seconds
# between TERM and KILL (0: KILL at once); ATTEMPT: empty, or the attempt whose claim must not name another host.
# Reply: one record: left, the pids that survived; or elsewhere, host. Exit status: 0 none left, 1 some, 2 elsewhere.

main() {
  outset
  begin
  tag=$2 job_pid=$5 job_start=$6 job_boot=$7 left=''
  # Without its folder the processes can still be ended.
  if cd -- "$1" 2>/dev/null; then
    if [ -n "$8" ] && [ "$job_boot" != "$boot" ] && read -r _ claim_host _ <"attempt.$8"; then
      [ "$claim_host" = "$host" ] || answer 2 elsewhere "$claim_host"
    fi
    run_kill_script "$3"
  fi
  if sweep "$4"; then answer 0 left ''; fi
  answer 1 left "$(for one in $left; do printf '%s ' "${one%:*}"; done)"
}

main "$@" </dev/null
