# shellcheck shell=sh disable=SC2034,SC2154 # variables are shared between the parts of a script
# shellcheck disable=SC2016 # sed's own dollar
# Put before check_place.sh and check.sh: asking a scheduler, in bounded time. Defines functions, prints nothing.

# bound SECONDS COMMAND...: where there is no timeout(1) the transport's own limit has to do
bound() {
  limit=$1
  shift
  if command -v timeout >/dev/null; then timeout "$limit" "$@"; else "$@"; fi
}

# last_line TEXT: sets line to its last line that says something
last_line() {
  line=$(printf '%s\n' "$1" | sed -n '/[^[:space:]]/h; ${x; p;}')
}

# ask WHAT COMMAND...: the record of how COMMAND fared, with its last words
ask() {
  what=$1
  shift
  said=$(bound 15 "$@" 2>&1 </dev/null)
  status=$?
  last_line "$said"
  record asked "$what" "$status" "$line"
}

versions() {
  for program; do
    text=''
    if command -v "$program" >/dev/null; then
      text=$(bound 10 "$program" --version 2>/dev/null </dev/null | sed -n '1p')
      text=${text:-there}
    fi
    record version "$program" "$text"
  done
}

ask_slurm() {
  versions sbatch squeue scancel scontrol sacct
  ! command -v sacct >/dev/null || ask accounting sacct --noheader --allocations --starttime=now --format=jobid
  command -v squeue >/dev/null || return 0
  ask queue squeue --me --noheader --format='%i %j'
  [ "$status" = 0 ] || return 0
  jobs=$(printf '%s\n' "$said" | grep '^[0-9_]* sd-' | head -n 200)
  while read -r id name; do
    [ -z "$id" ] || record job "$id" "$name"
  done <<LIST
$jobs
LIST
}

ask_pbs() {
  versions qsub qstat qdel
  ! command -v qstat >/dev/null || ask queue qstat -u "$me"
}
