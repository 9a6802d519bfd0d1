# shellcheck shell=sh disable=SC2034,SC2154 # variables are shared between the parts of a script
# Put after batch.sh before the other slurm_*.sh: Slurm's commands, undisturbed by the site. Defines functions, prints nothing.

# plain_slurm: no variable of the site or the person changes what the commands do or how they answer. Where the
# cluster's configuration lies and who we are to it must stay.
plain_slurm() {
  for name in $(env | sed -n 's/^\(S[A-Z]*_[A-Za-z0-9_]*\)=.*/\1/p'); do
    case $name in
      SLURM_CONF | SLURM_CONF_SERVER | SLURM_JWT) ;;
      SLURM_* | SBATCH_* | SQUEUE_* | SCANCEL_* | SACCT_* | SALLOC_* | SRUN_* | SINFO_* | SCONTROL_*) unset "$name" ;;
    esac
  done
}

# The folders that Slurm is found in where nothing was said about it
SLURM_PLACES='/usr/bin /usr/local/bin /opt/slurm/bin /usr/local/slurm/bin /opt/slurm/current/bin /opt/slurm/default/bin
/opt/slurm/latest/bin /opt/slurm-llnl/bin /cm/shared/apps/slurm/current/bin /opt/software/slurm/bin /sw/slurm/bin'

# For sed. Lines of slurm.conf that are left aside are complained of at every call (`plain` of words.py).
ASIDE='/error: Ignoring [A-Za-z]* since [A-Za-z]* is set\.$/d;/error: The option "[A-Za-z]*" is defunct/d'

# find_command COMMAND [FOLDER]: sees to it that COMMAND can be called
find_command() {
  plain_slurm
  find_program "$1" "${2-}" slurm "$SLURM_PLACES" SLURM_CONF LD_LIBRARY_PATH
}

# find_mark JOB: sets only to the option that leaves out a job that is not the session's (tag) any more: by its name, or
# none where its comment proves that it was renamed, which its owner may do. scancel is silent about what it leaves out.
find_mark() {
  only=--name=$tag
  marks=$(timeout -k 5 60 squeue --noheader --all --states=all -j "$1" -O "Name:$US,Comment:$US" 2>/dev/null </dev/null)
  case $marks in
    "$tag$US"*) ;;
    *"$US${tag#sd-}$US") only='' ;;
  esac
}
