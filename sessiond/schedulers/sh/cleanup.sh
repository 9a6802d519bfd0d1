# shellcheck shell=sh disable=SC2034,SC2154 # variables are shared between the parts of a script
# Removes what an ended session left: processes, secrets, port reservations, files. May be repeated.
#
# Arguments: FOLDER TAG BOUND PID START BOOT (the last three empty for a session without a job); BOUND: seconds the
# kill script may take, which runs if something ran and it has not run yet.
# Keeps the log, how it ended, the scripts that tell what was run, the user's files, and the claims: a submission that
# is still on its way must go on finding its fence. Reply: one record: left, pids, files. Exit status: 0 all is gone, 1 not all.

# A reservation is ours if we made the file and it is empty or names this session.
free_ports() {
  while read -r reserved; do
    case $reserved in '' | *[!0-9]* | ??????*) continue ;; esac
    file=/tmp/$reserved.port.used
    # shellcheck disable=SC3067 # dash, bash and busybox all have -O
    [ -f "$file" ] && [ ! -L "$file" ] && [ -O "$file" ] || continue
    if [ ! -s "$file" ] || grep -qF "$tag" "$file"; then rm -f "$file"; fi
  done <ports
}

# What was put here to run the session, and what its scripts keep here meanwhile. Anything else belongs to the user,
# whose notebooks may lie where the service's working directory was: it stays.
remove_ours() {
  files=''
  for file in secrets.sh setup.sh run.sh lib utils service ports endpoint notified walltime exit.runner *.lock attempt.*.* \
    .stage.* .failure* .endpoint.* .exit.* .ports.*; do
    [ -e "$file" ] || [ -L "$file" ] || continue
    remove "./$file" || files="$files $file"
  done
}

main() {
  outset
  begin
  tag=$2 job_pid=${4:-0} job_start=$5 job_boot=$6 left='' files='' ran=''
  if cd -- "$1"; then
    for file in attempt.*; do
      ! { read -r claimed _ <"$file" && [ "$claimed" != fenced ]; } || ran=1
    done
    [ -z "$ran" ] || run_kill_script "$3"
    sweep 2
    [ ! -f ports ] || free_ports
    remove_ours
  elif [ -e "$1" ]; then
    files=$1
  else
    sweep 2
  fi
  [ -z "$left$files" ] || answer 1 left "$left $files"
  answer 0 left ''
}

main "$@" 2>/dev/null </dev/null
