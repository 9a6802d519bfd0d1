# shellcheck shell=sh disable=SC2034,SC2154 # variables are shared between the parts of a script
# Put after lib.sh before sweep.sh: finding a session's processes. Defines functions, prints nothing.
#
# A session's processes: its runner's group, as long as that very runner lives, and whatever has the session's tag in
# its environment, but never this shell or its ancestors. Uses the variables tag, job_pid, job_start, job_boot.

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

# Sets left to "pid:start pid:start": the processes of the session that still run. Whoever was once seen stays known.
survivors() {
  found=${left-}
  if [ "$job_boot" = "$boot" ] && same "$job_pid" "$job_start"; then
    for file in /proc/[0-9]*/stat; do
      file=${file#/proc/} file=${file%/stat}
      ! stat_of "$file" || [ "$p_group" != "$job_pid" ] || found="$found $file:$p_start"
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
