# shellcheck shell=sh disable=SC2034,SC2154 # variables are shared between the parts of a script
# Put after pbs.sh before batch_observe.sh and batch_history.sh: what PBS is asked. Defines functions, prints nothing.

LISTER=qstat HISTORIAN=qstat

# ask_ids FOLDER WHAT ID...: WHAT, the full text about these jobs, finished ones too where the server keeps them; said, exit
# status, errors; unknown, the ids that the server does not know. In text, because the other forms do not bear it: JSON
# of several ids is of the first alone, and breaks at values that are no JSON (OpenPBS 23.06, measured). By ids, because
# all that a server has, history included, is megabytes.
ask_ids() {
  of=$1 what=$2 history=-x
  [ "$face" = pro ] || history=''
  shift 2
  # shellcheck disable=SC2086 # may be empty
  ask "$what" 60 env TZ=UTC LC_ALL=C qstat $history -f "$@"
  if [ -n "$history" ] && no_history "$err"; then
    # It is not asked for again: each answer is a load.
    for file in "$of"/attempt.*/face; do [ ! -f "$file" ] || echo bare >"$file"; done
    ask "$what" 60 env TZ=UTC LC_ALL=C qstat -f "$@"
  fi
  case $history:$err in
    :*'use -x'*) ask "$what" 60 env TZ=UTC LC_ALL=C qstat -x -f "$@" ;;
  esac
  printf '\036unknown\037'
  printf '%s\n' "$err" | sed -n -e 's/^.*Unknown Job Id[^0-9]*\([0-9][^[:space:]]*\).*$/\1/p' \
    -e 's/^[a-z]*: \([0-9][^[:space:]]*\) Job has finished.*$/\1/p'
}

# look_at_queue FOLDER: the jobs of the lines asked about
look_at_queue() {
  in=$1
  face "$in"
  set -f
  # shellcheck disable=SC2046 # one id a line, and an id has no blank
  set -- $(printf '%s\n' "$asked" | cut -s -d "$US" -f 2)
  set +f
  if [ $# -gt 0 ]; then ask_ids "$in" jobs "$@"; else record jobs '' && record said 0 '' && record unknown ''; fi
}

# own_marks FOLDER: which run of the job its runner took itself for: began, job, how many began before it, process session
own_marks() {
  begun='' starts='' session=''
  [ ! -f "$1/pbs.began" ] || [ ! -r "$1/pbs.began" ] || read -r begun starts session <"$1/pbs.began"
  record began "$begun" "$starts" "$session"
}

# ask_history FOLDER JOB TAG
ask_history() {
  face "$1"
  ask_ids "$1" jobs "$2"
}
