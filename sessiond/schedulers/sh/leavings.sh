# shellcheck shell=sh disable=SC2034,SC2154 # variables are shared between the parts of a script
# Put after remove.sh before cleanup.sh, batch_cleanup.sh and batch_run.sh: what a session leaves in files. Defines functions.

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

# The folder of the session's Unix socket, which its own script recorded: one of ours, no link, named after the session.
free_socket() {
  [ -f socket.folder ] && read -r folder <socket.folder || return 0
  case $folder in */../*) return 0 ;; /*) ;; *) return 0 ;; esac
  case ${folder##*/} in "$tag".*) ;; *) return 0 ;; esac
  # shellcheck disable=SC3067 # dash, bash and busybox all have -O
  [ -d "$folder" ] && [ ! -L "$folder" ] && [ -O "$folder" ] || return 0
  remove "$folder" || files="$files $folder"
}

# What was put here to run the session, and what its scripts keep here meanwhile. Anything else belongs to the user,
# whose notebooks may lie where the service's working directory was: it stays.
remove_ours() {
  files=''
  free_socket
  [ -s pbs.out ] || rm -f pbs.out
  number=$(sed -n "s/^export job_number='\([0-9]*\)'\$/\1/p" inputs.sh 2>/dev/null)
  for file in secrets.sh setup.sh run.sh slurm_run.sh pbs_run.sh job_torque.sh lib utils service ports socket.folder endpoint \
    notified walltime exit.runner stop.new pbs.began pbs.began.* pbs.limit pbs.limit.new pbs.deleted *.lock attempt.*.* \
    .stage.* .failure* .endpoint.* .exit.* .ports.* \
    "left.$tag" service.port "${number:-none}.pid"; do
    [ -e "$file" ] || [ -L "$file" ] || continue
    remove "./$file" || files="$files $file"
  done
}
