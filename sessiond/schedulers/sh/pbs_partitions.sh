# shellcheck shell=sh disable=SC2034,SC2154 # variables are shared between the parts of a script
# Put after pbs.sh before batch_partitions.sh: what queues there are. Defines functions, prints nothing.

TELLER='qstat'

# ask_partitions: the queues; and the server, which knows the usual one. A server that hangs, hangs for both.
ask_partitions() {
  ask queues 40 env TZ=UTC LC_ALL=C qstat -Q -f
  if [ "$rc" = 0 ]; then ask server 20 env TZ=UTC LC_ALL=C qstat -B -f; else record server '' && record said 1 ''; fi
}
