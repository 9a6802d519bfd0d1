# shellcheck shell=sh disable=SC2034,SC2154 # variables are shared between the parts of a script
# Put after slurm_partitions.sh or pbs_partitions.sh. What partitions or queues there are; changes nothing.
#
# Input: the cluster's setup lines, which may be needed to find the command.
# Reply: what `ask_partitions` asks, each: its name, the output as it is; said, exit status, errors. Exit status: 0; 69
# there is no such command.

main() {
  outset
  own_setup=$(cat)
  begin
  find_command "$TELLER" || missing "$TELLER"
  ask_partitions
  finish 0
}

main "$@" 2>/dev/null <<'SESSIOND_PAYLOAD'
SESSIOND_PAYLOAD
