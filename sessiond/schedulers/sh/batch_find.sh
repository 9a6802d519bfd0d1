# shellcheck shell=sh disable=SC2030,SC2031,SC2034,SC2154 # locales are meant to stay in their subshells; variables are shared between the parts of a script
# Put after slurm_find.sh or pbs_find.sh. Settles whether an attempt submitted a job; if it did not, fences it, so that it
# never will.
#
# Arguments: FOLDER ATTEMPT TAG ID SETTLED PAUSE DOUBT PROOF: an attempt whose submitter has ended, or is older than
# SETTLED seconds, is looked for by its job's name and by the session's id; it counts as absent when it is older than that
# and was looked for in vain twice, PAUSE seconds apart, all by this host's clock. DOUBT and PROOF are extended regular
# expressions: words of the submitter that leave it open whether it submitted, and that prove it did not.
# Reply: one record: found, job id; or absent; or unsettled, why. Exit status: 0 found, 76 absent for good, 75 not settled.

unsettled() { answer 75 unsettled "$1"; }

# was_ended STATUS: whether that is a command ended by timeout(1) or a signal: whatever it had said before, it may have gone
# on trying. From 152 on these are PBS's own error numbers. A submitter that failed after it printed a number has more than
# a status here.
was_ended() { case $1 in 124 | 129 | 1[34]? | 15[01] | *[!0-9]*) ;; *) false ;; esac; }

# settled FENCE DOUBT PROOF: answers where the attempt's own files say how it ended
settled() {
  if [ -s "$1/jobid" ]; then answer 0 found "$(cat "$1/jobid")"; fi
  [ ! -e "$1/fenced" ] || answer 76 absent ''
  [ -s "$1/rc" ] && ! was_ended "$(cat "$1/rc")" || return 0
  if ! grep -qE "$2" "$1/err" && grep -qE "$3" "$1/err"; then answer 76 absent ''; fi
}

# give_up FENCE: from here on the attempt submits nothing, or takes back what it submitted
give_up() {
  reason=$( (umask 077 && : >"$1/fenced") 2>&1) || unsettled "$reason"
  # Should it have ended this very moment: its word counts.
  if [ -s "$1/jobid" ]; then answer 0 found "$(cat "$1/jobid")"; fi
  answer 76 absent ''
}

main() {
  outset
  begin
  reason=$(cd -- "$1" 2>&1) || unsettled "$reason"
  cd -- "$1" || exit 75
  fence=attempt.$2
  if reason=$( (export LC_ALL=C && umask 077 && mkdir "$fence") 2>&1); then give_up "$fence"; fi
  [ -d "$fence" ] || unsettled "$reason"
  settled "$fence" "$7" "$8"
  now=$(date +%s) at=''
  [ -s "$fence/at" ] || (umask 077 && echo "$now" >"$fence/at") || unsettled 'nothing can be written there'
  read -r at <"$fence/at"
  # Ahead of now: this host's clock was set back since.
  case $at in *[!0-9]*) at='' ;; esac
  [ -n "$at" ] && [ "$at" -le "$((now + 60))" ] || { at=$now && echo "$now" >"$fence/at"; }
  # Through cat, as in batch_submit.sh. A listing without room would look like a scheduler that does not answer.
  reason=$( (export LC_ALL=C && umask 077 && echo | cat >"$fence/listing") 2>&1) || unsettled "$reason"
  # A submitter that has ended without an answer may have submitted: a job that is listed is found at once.
  [ -s "$fence/rc" ] || [ "$((now - at))" -ge "$5" ] || unsettled "$SUBMITTER may still be at it, for $((now - at)) s"
  find_command "$SEARCHER" . || unsettled "there is no $SEARCHER on $host"
  search "$fence" "$3" "$4" || unsettled 'the scheduler could not be asked for the job'
  if [ -n "$job" ]; then
    (umask 077 && echo "$job" >"$fence/jobid.new") && mv -f "$fence/jobid.new" "$fence/jobid"
    answer 0 found "$job"
  fi
  [ "$((now - at))" -ge "$5" ] || unsettled "the job is not listed; the scheduler may still take it, for $((now - at)) s"
  searched=''
  [ ! -s "$fence/searched" ] || read -r searched <"$fence/searched"
  case $searched in *[!0-9]*) searched='' ;; esac
  [ -n "$searched" ] && [ "$searched" -le "$now" ] || { searched='' && echo "$now" >"$fence/searched"; }
  [ -n "$searched" ] && [ "$((now - searched))" -ge "$6" ] || unsettled 'the job is not listed; it is asked once more'
  give_up "$fence"
}

main "$@" 2>/dev/null </dev/null
