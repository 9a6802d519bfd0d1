# shellcheck shell=sh disable=SC2034,SC2154 # variables are shared between the parts of a script
# Put after pbs.sh before batch_find.sh: looking for a job by its marks. Defines functions, prints nothing.

SUBMITTER=qsub SEARCHER=qstat

# named TAG: the ids of the jobs of this name, finished ones too where the server keeps them; fails where nobody can say.
# qselect is quick among thousands of jobs (measured, OpenPBS 23.06: 0.03 s of 5,000), but not everywhere.
named() {
  if ! command -v qselect >/dev/null; then
    plainly qstat -f >"$fence/all" || return
    sed -n -e '/^Job Id:/{s/^Job Id:[[:space:]]*//;h;}' -e "/^[[:space:]]*Job_Name = $1\$/{x;p;}" "$fence/all"
    return
  fi
  [ "$face" = pro ] || { plainly qselect -N "$1" && return; }
  plainly qselect -x -N "$1" 2>"$fence/listing.x"
  rc=$?
  no_history "$(cat "$fence/listing.x")" || { cat "$fence/listing.x" >&2 && return "$rc"; }
  plainly qselect -N "$1"
}

# search FENCE TAG ID: sets job to the id of a job that bears the mark and is no other attempt's; fails where nobody can
# say. One that has begun wrote so itself: where the server keeps no history, nobody else remembers it.
search() {
  job=''
  face .
  # A line that no id is, because to busybox's grep a file without patterns matches everything.
  { echo none && cat attempt.*/jobid attempt.*/cancelled; } >"$1/others" 2>/dev/null
  if [ -s pbs.began ] && read -r begun _ <pbs.began && ! grep -qxF "$begun" "$1/others"; then job=$begun && return; fi
  named "$2" >"$1/listing" 2>"$1/listing.err" </dev/null || return
  ! grep -qiE 'error|unable|fail|invalid|timed out|cannot|refused' "$1/listing.err" || return
  job=$(grep -x '[0-9][0-9]*[.A-Za-z0-9_-]*' "$1/listing" | grep -vxF -f "$1/others" | tail -n 1)
}
