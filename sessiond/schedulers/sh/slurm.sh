# shellcheck shell=sh disable=SC2034,SC2154 # variables are shared between the parts of a script
# Put after lib.sh before the other slurm_*.sh: Slurm's commands, undisturbed by the site. Defines functions, prints nothing.

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

# find_slurm COMMAND [FOLDER]: sees to it that COMMAND can be called. What a login shell and the cluster's `setup`
# (setup.sh in FOLDER) would make of the search path is asked in a shell of their own, at most 10 seconds long, and all
# that they print is discarded: they may be written for bash, prompt, or end the shell they run in.
find_slurm() {
  plain_slurm
  ! command -v "$1" >/dev/null || return 0
  # shellcheck disable=SC2016 # for that bash to expand
  asked_profile='tell() { printf "\036%s" "$PATH" "${SLURM_CONF-}" "${LD_LIBRARY_PATH-}" >&3; }
trap tell EXIT
[ ! -r /etc/profile ] || . /etc/profile
[ ! -f "$1/setup.sh" ] || . "$1/setup.sh"'
  told_profile=$(timeout -k 1 10 bash -c "exec 3>&1 >/dev/null; $asked_profile" profile "${2:-/nonexistent}" </dev/null 2>/dev/null)
  case $told_profile in
    "$RS"*"$RS"*"$RS"*)
      told_profile=${told_profile#"$RS"}
      PATH=${told_profile%%"$RS"*} told_profile=${told_profile#*"$RS"}
      [ -z "${told_profile%%"$RS"*}" ] || export SLURM_CONF="${told_profile%%"$RS"*}"
      [ -z "${told_profile#*"$RS"}" ] || export LD_LIBRARY_PATH="${told_profile#*"$RS"}"
      ;;
  esac
  ! command -v "$1" >/dev/null || return 0
  for place in $SLURM_PLACES; do
    if [ -x "$place/$1" ]; then PATH=$PATH:$place && return 0; fi
  done
  return 1
}

# ask WHAT SECONDS COMMAND...: two records: WHAT and the command's output as it is; said, exit status, errors
ask() {
  printf '\036%s\037' "$1"
  limit=$2
  shift 2
  { err=$(timeout -k 5 "$limit" "$@" 2>&1 >&3 </dev/null); } 3>&1
  rc=$?
  record said "$rc" "$err"
}

# ask_jobs WHAT FORMAT: asks for all of the person's jobs; squeue --me is from 2020
ask_jobs() {
  ask "$1" 60 env SLURM_TIME_FORMAT=%s squeue --me --states=all -O "$2"
  case $err in
    *nrecognized*me*) ask "$1" 60 env SLURM_TIME_FORMAT=%s squeue -u "$(id -un)" --states=all -O "$2" ;;
  esac
}

missing() { answer 69 missing "there is no $1 on $host"; }
