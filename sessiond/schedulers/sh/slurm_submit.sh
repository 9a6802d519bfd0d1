# shellcheck shell=sh disable=SC2034,SC2154 # variables are shared between the parts of a script
# Put after slurm.sh before batch_submit.sh: what sbatch is told. Defines functions, prints nothing.

SUBMITTER=sbatch

# call_submitter FENCE
call_submitter() { timeout -k 5 60 sbatch --parsable "--chdir=$PWD" job.sh; }

# job_in FILE: the number in what sbatch printed, between a wrapper's greeting and a federation's cluster
job_in() { sed -n -e 's/^\([0-9][0-9]*\)$/\1/p' -e 's/^\([0-9][0-9]*\);.*$/\1/p' "$1" | tail -n 1; }

take_back() { timeout -k 5 60 scancel "$1"; }
