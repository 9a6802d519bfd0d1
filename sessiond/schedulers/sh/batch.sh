# shellcheck shell=sh disable=SC2034,SC2154 # variables are shared between the parts of a script
# Put after lib.sh before slurm.sh and pbs.sh: asking a scheduler's commands. Defines functions, prints nothing.

# find_program COMMAND FOLDER WORD PLACES NAME...: sees to it that COMMAND can be called. What a login shell and the cluster's
# `setup` (setup.sh in FOLDER, or own_setup where there is no folder) would make of the search path and the variables NAME
# is asked in a shell of their own, at most 10 seconds long, and all that they print is discarded: they may be written for
# bash, prompt, or end the shell they run in. They are not asked, for that takes time, where COMMAND is there already, unless
# setup speaks of WORD: then what is there may be another cluster's, and is no answer where setup cannot be run. PLACES are
# folders that are looked into where nothing was said about any.
find_program() {
  wanted=$1 word=$3 places=$4 chosen='' unasked=''
  profile_folder=${2:-/nonexistent}
  ! { printf '%s\n' "${own_setup-}" && cat "$profile_folder/setup.sh"; } 2>/dev/null | grep -qiE "$word" || chosen=yes
  [ -n "$chosen" ] || ! command -v "$wanted" >/dev/null || return 0
  shift 4
  # shellcheck disable=SC2016 # for that bash to expand
  asked_profile='readonly sessiond_folder=$1 sessiond_names=${*:2}
tell() { printf "\036%s" "$PATH" >&3; for sessiond_name in $sessiond_names; do printf "\036%s" "${!sessiond_name-}" >&3; done; }
trap "IFS=\" \" && tell" EXIT
[ ! -r /etc/profile ] || . /etc/profile
[ ! -f "$sessiond_folder/setup.sh" ] || . "$sessiond_folder/setup.sh"
. /dev/fd/4'
  told_profile=$(timeout -k 1 10 bash -c "exec 3>&1 >/dev/null; $asked_profile" profile "$profile_folder" "$@" </dev/null 2>/dev/null 4<<SETUP
${own_setup-}
SETUP
  )
  [ -z "$chosen" ] || [ -n "$told_profile" ] || { unasked=yes && return 1; }
  for name in PATH "$@"; do
    case $told_profile in "$RS"*) told_profile=${told_profile#"$RS"} ;; *) break ;; esac
    value=${told_profile%%"$RS"*}
    told_profile=${told_profile#"$value"}
    [ -z "$value" ] || export "$name=$value"
  done
  ! command -v "$wanted" >/dev/null || return 0
  for place in $places; do
    if [ -x "$place/$wanted" ]; then PATH=$PATH:$place && return 0; fi
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

missing() {
  [ -z "$unasked" ] || answer 69 missing "what setup says of the scheduler could not be asked of a shell of $host within 10 s"
  answer 69 missing "there is no $1 on $host"
}
