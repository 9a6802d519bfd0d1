# shellcheck shell=sh disable=SC2034,SC2154 # variables are shared between the parts of a script
# Put after check_ask.sh before check.sh: trying the cluster's setup lines. Defines functions, prints nothing.

# Runs own_setup in a bash of its own, with nobody there to answer it, as a session's script would. What the lines print
# is discarded, what they complain of is told: its first line. `through` is told where that shell came out of them, else
# the status with which it ended. What they leave running in the background may hold the pipe for ever, so it is read no
# further than that word; by read, because busybox's sed (1.35) looks for a line after the last one that it was asked for.
look_at_setup() {
  case $own_setup in *[![:space:]]*) ;; *) return 0 ;; esac
  command -v bash >/dev/null && command -v timeout >/dev/null || return 0
  # shellcheck disable=SC2016 # for that bash to expand
  told=$({
    timeout -k 1 15 bash -c '. /dev/fd/4 >/dev/null; printf "\n\036through\n"' setup </dev/null 4<<SETUP
$own_setup
SETUP
    printf '\n\036%s\n' "$?"
  } 2>&1 | {
    complaint=''
    while IFS= read -r line; do
      case $line in
        "$RS"*) break ;;
        *[![:space:]]*) complaint=${complaint:-$line} ;;
      esac
    done
    printf '%s\n%s' "$complaint" "${line#"$RS"}"
  })
  record setup "${told##*"
"}" "${told%"
"*}"
}
