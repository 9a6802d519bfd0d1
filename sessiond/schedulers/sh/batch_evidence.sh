# shellcheck shell=sh disable=SC2034,SC2154 # variables are shared between the parts of a script
# Put after slurm_evidence.sh or pbs_evidence.sh. Collects what tells why a job ended, or what it does. Changes nothing.
#
# Arguments: FOLDER JOB TAG ATTEMPT (JOB is empty for a session without one). Reply: 0 or 1, whether the folder is there,
# with what `said` of files.sh says; refusal, what the submitter said at that attempt; then either missing, why no
# scheduler can be asked, or version, and of a job what `ask_evidence` asks. Exit status: 0.

main() {
  outset
  begin
  asked=$1$US
  measure
  folder=0 refusal=''
  [ ! -d "$1" ] || folder=1
  said "$1" "$folder"
  [ ! -f "$1/attempt.$4/err" ] || refusal=$(head -c 900 "$1/attempt.$4/err")
  record refusal "$refusal"
  if find_command "$HISTORIAN" "$1"; then
    record version "$(timeout -k 2 20 "$HISTORIAN" --version 2>&1 </dev/null | head -n 2)"
    [ -z "$2" ] || ask_evidence "$@"
  else
    record missing "there is no $HISTORIAN on $host"
  fi
  finish 0
}

main "$@" 2>/dev/null </dev/null
