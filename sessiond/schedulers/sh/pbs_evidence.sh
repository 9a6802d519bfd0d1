# shellcheck shell=sh disable=SC2034,SC2154 # variables are shared between the parts of a script
# Put after pbs_look.sh before batch_evidence.sh: what PBS knows of a job. Defines functions, prints nothing.

# ask_evidence FOLDER JOB: as `ask_history`
ask_evidence() { ask_history "$@"; }
