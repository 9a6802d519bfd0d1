# shellcheck shell=sh disable=SC2034,SC2154 # variables are shared between the parts of a script
# Put after lib.sh before run.sh and batch_run.sh: the record of how a session ended. Defines functions, prints nothing.

# record_exit STATUS REASON: of the run SESSIOND_RUN, all at once
record_exit() {
  (umask 077 && printf 'status=%s\nat=%s\nrun=%s\nreason=%s\n' "$1" "$(date +%s)" "$SESSIOND_RUN" "$2" >exit.runner) &&
    mv -f exit.runner exit
}

# why_ended STATUS: sets why to what a shell's exit status means
why_ended() {
  why='exit'
  [ "$1" -le 128 ] || ! name=$(kill -l "$(($1 - 128))" 2>/dev/null) || why=signal:${name#SIG}
}
