# shellcheck shell=sh disable=SC2034,SC2154 # variables are shared between the parts of a script
# Put after pbs.sh before batch_submit.sh: what qsub is told. Defines functions, prints nothing.

SUBMITTER='qsub'

# call_submitter FENCE: in the session's folder, which the output's path is relative to. Some front ends say on stdout why
# they submitted nothing (Debian's of Slurm, recorded).
call_submitter() {
  face .
  put "$1/face" "$face"
  case $face in pro | bare) ;; *) [ ! -f job_torque.sh ] || mv -f job_torque.sh job.sh ;; esac
  plainly qsub job.sh && return
  rc=$?
  cat "$1/out" >&2
  return "$rc"
}

# job_in FILE: the id in what qsub printed, as it is, its server with it
job_in() { sed -n 's/^\([0-9][0-9]*\(\.[A-Za-z0-9][A-Za-z0-9._-]*\)\{0,1\}\)[[:space:]]*$/\1/p' "$1" | tail -n 1; }

take_back() { plainly qdel "$1"; }
