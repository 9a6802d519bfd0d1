# shellcheck shell=bash
# The ports of a licence server. sessiond opens them here; in a job it learns only now which host this is.

# Of ports $1 and on, print those on which nothing listens. Nobody connects to them: to a licence server that would be
# a client that says nothing.
sessiond_unheard() {
  local port hex listing
  listing=$(sessiond_sockets) || return 0
  for port; do
    printf -v hex '%04X' "$port"
    case $'\n'$listing in *$'\n'"$hex:"[0-9]*) ;; *) echo "$port" ;; esac
  done
}

# Wait for ports $2 and on, at most $1 seconds: a program that asks for its licence as its first act would give up.
# Without them the session goes on, for they may come later. A subshell: the template's options and variables stay.
sessiond_await_licences() (
  set +efu +o pipefail
  IFS=$' \t\n' LC_ALL=C
  most=$1 end=$((SECONDS + $1))
  shift
  while missing=$(sessiond_unheard "$@") && [ -n "$missing" ]; do
    if ((SECONDS >= end)); then
      # shellcheck disable=SC2086  # a port a word
      echo "sessiond: no licence port" $missing "here after $most s; starting without. sessionctl why says what is wrong." >&2
      exit 0
    fi
    sleep 0.2
  done
)
