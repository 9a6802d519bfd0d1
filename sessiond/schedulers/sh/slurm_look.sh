# shellcheck shell=sh disable=SC2034,SC2154 # variables are shared between the parts of a script
# Put after slurm.sh before batch_observe.sh and batch_history.sh: what Slurm is asked. Defines functions, prints nothing.

LISTER=squeue HISTORIAN=scontrol

# In the C locale, because a wrapper of the site's may warn of one that is not installed in words that sound like trouble.

# look_at_queue FOLDER FORMAT: all of the person's jobs, those in hidden partitions and those that another cluster of a
# federation took over with them (--all); squeue --me is from 2020
look_at_queue() {
  ask jobs 60 env SLURM_TIME_FORMAT=%s LC_ALL=C squeue --me --all --states=all -O "$2"
  case $err in
    *nrecognized*me*) ask jobs 60 env SLURM_TIME_FORMAT=%s LC_ALL=C squeue -u "$(id -un)" --all --states=all -O "$2" ;;
  esac
}

own_marks() { :; }

# ask_history FOLDER JOB TAG: account, sacct's lines; said, its exit status, its errors; control, scontrol's record of the
# job; said, the same of scontrol. With -j the window, which begins at midnight, does not matter; one is given all the
# same, for some versions it does.
ask_history() {
  ask account 60 env SLURM_TIME_FORMAT=%s LC_ALL=C sacct -X -n -P -S now-30days "--name=$3" -j "$2" -o JobIDRaw,State,ExitCode,End,Reason
  ask control 60 env SLURM_TIME_FORMAT=%s LC_ALL=C scontrol -o show job "$2"
}
