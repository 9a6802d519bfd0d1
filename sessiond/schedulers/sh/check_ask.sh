# shellcheck shell=sh disable=SC2034,SC2154 # variables are shared between the parts of a script
# shellcheck disable=SC2016 # sed's own dollar
# Put after batch.sh and slurm.sh or pbs.sh before the other parts of check.sh: asking a program, in bounded time. Defines functions, prints nothing.

# bound SECONDS COMMAND...: where there is no timeout(1) the transport's own limit has to do
bound() {
  limit=$1
  shift
  if command -v timeout >/dev/null; then timeout "$limit" "$@"; else "$@"; fi
}

# last_line TEXT: sets line to its last line that says something
last_line() {
  line=$(printf '%s\n' "$1" | sed -n '/[^[:space:]]/h; ${x; p;}')
}

# try COMMAND...: sets said, status, and line to its last words
try() {
  said=$(bound 15 "$@" 2>&1 </dev/null)
  status=$?
  last_line "$said"
}

# ask WHAT COMMAND...: the record of how COMMAND fared, with its last words
ask() {
  what=$1
  shift
  try "$@"
  record asked "$what" "$status" "$line"
}

versions() {
  for program; do
    text=''
    if command -v "$program" >/dev/null; then
      # Torque says it on stderr. What knows no such option says something else, but fails.
      if said=$(bound 10 "$program" --version 2>&1 </dev/null); then
        text=$(printf '%s\n' "$said" | sed -n '/[0-9]/{p;q;}')
      fi
      text=${text:-there}
    fi
    record version "$program" "$text"
  done
}
