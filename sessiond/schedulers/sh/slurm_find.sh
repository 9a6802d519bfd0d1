# shellcheck shell=sh disable=SC2034,SC2154 # variables are shared between the parts of a script
# Put after slurm.sh before batch_find.sh: looking for a job by its marks. Defines functions, prints nothing.

SUBMITTER=sbatch SEARCHER=squeue

# began FENCE: the number of a job that wrote into the session's folder and is no other attempt's. Where there is no
# accounting nobody else remembers it when it is over.
began() {
  for file in exit endpoint; do
    ! read_pairs "$file" || echo "${run%.*}"
  done | grep -x '[0-9][0-9]*' | grep -vxF -f "$1/others" | tail -n 1
}

# search FENCE TAG ID: sets job to the number of a job that bears the mark and is no other attempt's; fails where nobody can
# say. --all, because of a hidden partition's jobs squeue tells not even their owner otherwise (measured, Slurm 22.05).
search() {
  # A line that no number is, because to busybox's grep a file without patterns matches everything.
  { echo none && cat attempt.*/jobid attempt.*/cancelled; } >"$1/others" 2>/dev/null
  job=$(began "$1")
  [ -z "$job" ] || return 0
  timeout -k 5 60 env LC_ALL=C squeue --me --all --states=all -O "JobID:$US,Name:$US,Comment:$US" >"$1/listing" 2>"$1/listing.err" </dev/null || return
  { read -r first <"$1/listing"; } && [ "$first" = "JOBID${US}NAME${US}COMMENT$US" ] || return
  job=$(grep -F -e "$US$2$US" -e "$US$3$US" "$1/listing" | cut -d "$US" -f 1 | grep -x '[0-9][0-9]*' | grep -vxF -f "$1/others" | tail -n 1)
  [ -z "$job" ] || return 0
  # Whoever complains has not shown that there is no job.
  ! sed "$ASIDE" "$1/listing.err" | grep -qiE 'error|unable|fail|invalid|timed out' || return
  command -v sacct >/dev/null || return 0
  job=$(timeout -k 5 30 sacct -X -n -P -S now-30days "--name=$2" -o JobIDRaw 2>/dev/null </dev/null | grep -x '[0-9][0-9]*' |
    grep -vxF -f "$1/others" | tail -n 1)
}
