# shellcheck shell=sh disable=SC2034,SC2154 # variables are shared between the parts of a script
# Put after lib.sh before sweep.sh: finding a session's processes. Defines functions, prints nothing.
#
# A session's processes: its runner's group, as long as that very runner lives, or what was left of it; of a job its
# process session, job_session, where that is known; and whatever has the session's tag in its environment; but never
# this shell or its ancestors. nginx, for one, writes over its environment (measured, 1.22). Uses the variables tag,
# job_pid, job_start, job_boot.

# The shell and those who wait for it, as " pid pid "
own_line() {
  own=' ' ancestor=$$
  while [ "$ancestor" -gt 1 ] && stat_of "$ancestor"; do own="$own$ancestor " ancestor=$p_parent; done
}

# The /proc/<pid>/environ of processes with the session's tag
tagged() {
  if printf 'a\0b' | grep -qF b; then
    grep -lsF "SESSIOND_TAG=$tag" /proc/[0-9]*/environ
    return
  fi
  # To busybox's grep a line ends at its first zero byte.
  for file in /proc/[0-9]*/environ; do
    ! { tr '\0' '\n' <"$file" | grep -qxF "SESSIOND_TAG=$tag"; } 2>/dev/null || echo "$file"
  done
}

# near: whether the process that stat_of told of belongs to the group or the process session
near() {
  [ "$p_group" = "$group" ] && return
  # shellcheck disable=SC3067 # dash, bash and busybox all have -O
  [ "$p_session" = "${job_session-}" ] && [ -O "/proc/$1" ]
}

# Sets left to "pid:start pid:start": the processes of the session that still run. Whoever was once seen stays known.
survivors() {
  found=${left-} group=''
  if [ -s "left.$tag" ] && read -r left_boot left_there <"left.$tag" && [ "$left_boot" = "$boot" ]; then
    case $left_there in *[!0-9:' ']*) ;; *) found="$found $left_there" ;; esac
  fi
  if [ "$job_boot" = "$boot" ] && same "$job_pid" "$job_start"; then group=$job_pid; fi
  if [ -n "$group${job_session-}" ]; then
    for file in /proc/[0-9]*/stat; do
      file=${file#/proc/} file=${file%/stat}
      ! stat_of "$file" || ! near "$file" || found="$found $file:$p_start"
    done
  fi
  for file in $(tagged); do
    file=${file#/proc/} file=${file%/environ}
    ! stat_of "$file" || found="$found $file:$p_start"
  done
  left=''
  for one in $found; do
    case "$own" in *" ${one%:*} "*) continue ;; esac
    case " $left " in *" $one "*) continue ;; esac
    ! same "${one%:*}" "${one#*:}" || left="$left $one"
  done
}
