# shellcheck shell=sh disable=SC2034,SC2154 # variables are shared between the parts of a script
# Put after slurm.sh before batch_partitions.sh: what partitions there are. Defines functions, prints nothing.

TELLER='sinfo'

# ask_partitions: those that this person may see. None of these columns is a node's, so each partition is one line.
ask_partitions() { ask partitions 40 env LC_ALL=C sinfo --noheader --format="%P$US%a$US%l$US%D$US"; }
