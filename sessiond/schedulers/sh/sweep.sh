# shellcheck shell=sh disable=SC2034,SC2154 # variables are shared between the parts of a script
# Put after survivors.sh before cancel.sh, cleanup.sh and batch_run.sh: ending a session's processes. Defines functions, prints
# nothing. Every signal is sent to a pid whose start time was just compared.

# signal NAME [SPARED]
signal() {
  for one in $left; do
    [ "$one" = "${2-}" ] || ! same "${one%:*}" "${one#*:}" || kill -"$1" "${one%:*}" 2>/dev/null
  done
}

# still: those of the known survivors that still run; only when none does are all processes looked through again
still() {
  known=$left left=''
  for one in $known; do
    ! same "${one%:*}" "${one#*:}" || left="$left $one"
  done
  [ -n "$left" ] || survivors
}

# gone_within SECONDS [SIGNAL]: whether nothing is left then; SIGNAL is sent at every look
gone_within() {
  read -r now _ </proc/uptime
  until=$((${now%.*} + $1)) spared=$job_pid:$job_start
  while still && [ -n "$left" ]; do
    # The runner goes a round later than the rest: it may still record how the session ended.
    [ -z "${2-}" ] || signal "$2" "$spared"
    spared=''
    read -r now _ </proc/uptime
    [ "${now%.*}" -lt "$until" ] || return 1
    sleep 0.1 2>/dev/null || sleep 1
  done
}

# sweep GRACE: TERM and GRACE seconds to go (0: none), then KILL. Fails where something is left after that.
sweep() {
  own_line
  survivors
  if [ "$1" -gt 0 ]; then
    signal TERM
    signal CONT # a stopped process cannot heed TERM
    gone_within "$1" && return
  fi
  gone_within 15 KILL
}
