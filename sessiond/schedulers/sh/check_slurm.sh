# shellcheck shell=sh disable=SC2034,SC2154 # variables are shared between the parts of a script
# Put after check_ask.sh before check.sh: asking Slurm. Defines functions, prints nothing.

ask_slurm() {
  find_command sbatch # as for sessions
  versions sbatch squeue scancel scontrol sacct
  ! command -v sacct >/dev/null || ask accounting sacct --noheader --allocations --starttime=now --format=jobid
  command -v squeue >/dev/null || return 0
  ask queue squeue --me --all --noheader --format='%i %j'
  [ "$status" = 0 ] || return 0
  jobs=$(printf '%s\n' "$said" | grep '^[0-9_]* sd-' | head -n 200)
  while read -r id name; do
    [ -z "$id" ] || record job "$id" "$name"
  done <<LIST
$jobs
LIST
}
