# shellcheck shell=sh disable=SC2034,SC2154 # variables are shared between the parts of a script
# Put after batch.sh before the other pbs_*.sh: the commands of PBS, undisturbed by the site. Defines functions, prints
# nothing.

# The folders that PBS is found in where nothing was said about it
PBS_PLACES='/opt/pbs/bin /opt/pbs/default/bin /usr/pbs/bin /usr/bin /usr/local/bin /opt/pbspro/bin /opt/openpbs/bin
/cm/shared/apps/pbspro/current/bin /opt/torque/bin /usr/local/torque/bin /cm/shared/apps/torque/current/bin'

# find_command COMMAND [FOLDER]: sees to it that COMMAND can be called. PBS_DPREFIX would change what a directive is, and
# what is left of a job we may be in is nobody's.
find_command() {
  unset PBS_DPREFIX PBS_JOBID PBS_JOBNAME PBS_ENVIRONMENT PBS_NODEFILE PBS_QSTAT_EXECONLY
  find_program "$1" "${2-}" 'pbs|torque' "$PBS_PLACES $(sed -n 's/^PBS_EXEC=\(.*\)/\1\/bin/p' /etc/pbs.conf 2>/dev/null)" \
    PBS_CONF_FILE PBS_DEFAULT PBS_SERVER LD_LIBRARY_PATH
}

# face FOLDER: sets face to what is spoken to: pro (OpenPBS, PBS Professional: -x is the history), bare (the same without
# a history), torque (-x is XML), or other. It was written down when the session in FOLDER was submitted; else the
# version is asked, which needs no server.
face() {
  face=''
  for file in "$1"/attempt.*/face; do
    [ ! -s "$file" ] || read -r face <"$file"
  done
  case $face in pro | bare | torque | other) return ;; esac
  case $(timeout -k 2 20 qstat --version 2>&1 </dev/null) in
    *pbs_version*) face=pro ;;
    *ersion:*) face=torque ;;
    *) face=other ;;
  esac
}

# plainly COMMAND...: times are printed in the caller's time zone, messages in the caller's language
plainly() { timeout -k 5 60 env TZ=UTC LC_ALL=C "$@"; }

# no_history TEXT: whether that is what a server says that keeps none, with exit status 0 (OpenPBS 23.06, req_stat.c), or
# a command that does not know -x
no_history() {
  case $1 in
    *'job history'* | *job_history_enable* | *'invalid option'*) ;;
    *) return 1 ;;
  esac
}

# state_of JOB: sets state to its letter, or to gone where it is over, unknown, or another session's by its name (tag),
# and told to all that was said. Fails where nobody can say.
state_of() {
  state=''
  told=$(plainly qstat -f "$1" 2>&1 </dev/null)
  rc=$?
  case $rc:$told in
    *'Unknown Job Id'* | *'Job has finished'* | 153:) state=gone && return ;;
    0:*) ;;
    *) return 1 ;;
  esac
  state=$(printf '%s\n' "$told" | sed -n 's/^[[:space:]]*job_state = \([A-Z]\).*/\1/p' | head -n 1)
  called=$(printf '%s\n' "$told" | sed -n 's/^[[:space:]]*Job_Name = //p' | head -n 1)
  case $called in
    "$tag") ;;
    sd-????????????) state=gone ;;
  esac
  case $state in F | C | X) state=gone ;; esac
  [ -n "$state" ]
}
