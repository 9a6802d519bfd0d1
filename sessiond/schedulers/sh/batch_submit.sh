# shellcheck shell=sh disable=SC2030,SC2031,SC2034,SC2154 # locales are meant to stay in their subshells; variables are shared between the parts of a script
# Put after slurm_submit.sh or pbs_submit.sh. Submits a session's job, at most once an attempt however often it is asked.
#
# Arguments: FOLDER ATTEMPT. Reply: one record: found, job id; or fenced; or what and why; or said, the submitter's exit
# status and words. Exit status: 0 found (now or by an earlier call); 1 the submitter said no; 69 there is none, 73 the
# folder cannot be used: nothing was submitted; 75 not known; 76 fenced, nothing was submitted and never will be.
#
# Whoever makes the folder attempt.N decides (see batch_find.sh); jobid, rc and err in it tell what the submitter did.

refused() {
  record said "$1" "$(head -c 900 "$2" 2>/dev/null)"
  finish 1
}

# unclear STATUS NUMBER: a wrapper's failure after its submission is no word against the job
unclear() { answer 75 unknown "$SUBMITTER failed with status $1, but printed the number $2"; }

told() {
  if [ -s "$1/jobid" ]; then answer 0 found "$(cat "$1/jobid")"; fi
  [ ! -e "$1/fenced" ] || answer 76 fenced ''
  if [ -s "$1/rc" ] && read -r status printed <"$1/rc"; then
    [ -z "$printed" ] || unclear "$status" "$printed"
    refused "$status" "$1/err"
  fi
}

# put FILE TEXT: all at once. Through cat, which says why it cannot write: a full disk is an "I/O error" to dash.
put() { (umask 077 && printf '%s\n' "$2" | cat >"$1.new") && mv -f "$1.new" "$1"; }

main() {
  outset
  begin
  reason=$({ cd -- "$1" && [ -r job.sh ]; } 2>&1) || answer 73 folder "${reason:-there is no job.sh in $1}"
  cd -- "$1" || exit 75
  fence=attempt.$2
  told "$fence"
  find_command "$SUBMITTER" . || missing "$SUBMITTER"
  if ! reason=$( (export LC_ALL=C && umask 077 && mkdir "$fence") 2>&1); then
    told "$fence"
    [ ! -d "$fence" ] || answer 75 unknown "another submission of this attempt is under way"
    answer 73 folder "$reason"
  fi
  # Without room for the job's number there must be no job.
  if ! reason=$( (export LC_ALL=C && put "$fence/at" "$(date +%s)" && : >"$fence/out" && : >"$fence/err") 2>&1); then
    # An empty file: it needs no room.
    (umask 077 && : >"$fence/fenced") && answer 73 folder "$reason"
    answer 75 unknown "$reason"
  fi
  call_submitter "$fence" </dev/null >"$fence/out" 2>"$fence/err"
  rc=$?
  job=$(job_in "$fence/out")
  if [ "$rc" -eq 0 ] && [ -n "$job" ]; then
    put "$fence/jobid" "$job"
    # Found absent and fenced while we were stopped for minutes: then this job must not be.
    if [ -e "$fence/fenced" ] && take_back "$job" </dev/null >/dev/null 2>&1; then
      mv -f "$fence/jobid" "$fence/cancelled"
      answer 76 fenced ''
    fi
    answer 0 found "$job"
  fi
  [ "$rc" -ne 0 ] || answer 75 unknown "$SUBMITTER answered without a job's number: $(head -c 300 "$fence/out")"
  put "$fence/rc" "$rc${job:+ $job}"
  [ -z "$job" ] || unclear "$rc" "$job"
  refused "$rc" "$fence/err"
}

main "$@" 2>/dev/null </dev/null
