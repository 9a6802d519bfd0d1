# shellcheck shell=sh disable=SC2034,SC2154 # variables are shared between the parts of a script
# Put after check_ask.sh before check.sh: asking PBS or Torque. Defines functions, prints nothing.

ask_pbs() {
  find_command qstat # as for sessions
  versions qsub qstat qdel qselect qalter
  command -v qstat >/dev/null || return 0
  try qstat
  names=$(names_of "$said") own=''
  if [ "$status" = 0 ] && command -v qselect >/dev/null; then
    try qselect -u "$me"
    own=$said
  fi
  record asked queue "$status" "$line"
  # A server that hangs, hangs for every question.
  [ "$status" = 0 ] || return 0
  jobs_of_ours "$names" "$own"
  ask history qstat -B -f
  while read -r name equals value; do
    case $name$equals in
      job_history_enable= | keep_completed=) record setting "$name" "$value" ;;
    esac
  done <<SERVER
$said
SERVER
}

# names_of LISTING: lines NUMBER NAME of the jobs in qstat's listing that may be ours and have not ended (C is Torque's,
# F and X are PBS's). Its second column shows 15 characters of a name in every version; the wide one of `-w` does not.
names_of() {
  printf '%s\n' "$1" |
    sed -n -e '/[[:space:]][CFX][[:space:]]\{1,\}[^[:space:]]*[[:space:]]*$/d' \
      -e 's/^[[:space:]]*\([0-9]\{1,\}\)[^[:space:]]*[[:space:]]\{1,\}\(sd-[0-9a-z]\{12\}\)[[:space:]].*$/\1 \2/p' |
    head -n 1000
}

# jobs_of_ours NAMES OWN: a record for each of the user's OWN ids that has a name. The listing's own columns of ids and
# users are cut short, and cannot tell whose a job is.
jobs_of_ours() {
  nl='
'
  while read -r id more; do
    number=${id%%[!0-9]*}
    [ -n "$number" ] && [ -z "$more" ] || continue
    case $id in "$number" | "$number".*) ;; *) continue ;; esac
    case $nl$1$nl in *"$nl$number "*) ;; *) continue ;; esac
    name=$nl$1$nl
    name=${name#*"$nl$number "}
    record job "$id" "${name%%"$nl"*}"
  done <<OWN
$2
OWN
}
