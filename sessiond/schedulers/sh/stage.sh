# shellcheck shell=sh disable=SC2030,SC2031,SC2034,SC2154 # locales are meant to stay in their subshells; variables are shared between the parts of a script
# Puts a session's files into its folder, then runs the service's preparation, controller.sh. May be repeated.
#
# Arguments: FOLDER SIZE TAG LIMIT: the archive's size in bytes, the seconds the preparation may take. Input: a tar
# archive in base64; its setup.sh is run before the preparation.
# Reply: one record: what, text. Exit status: 0 staged; 1 the preparation failed (its exit status, its last line);
# 65 the archive did not arrive whole; 73 the folder cannot be written (any more); 75 an earlier preparation still runs.

unpack() {
  rm -rf .stage.* || return
  base64 -d >.stage.tar || return
  mkdir .stage.new && tar -xmof .stage.tar -C .stage.new || return
  for file in .stage.new/*; do
    [ ! -d "$file" ] || rm -rf "./${file#.stage.new/}" || return
    mv -f "$file" . || return
  done
  rm -rf .stage.new
}

last_line() {
  # shellcheck disable=SC2016 # sed's own dollar
  tail -c "+$1" logs.out | tail -c 4096 | sed -n '/[^[:space:]]/h;${x;p;}'
}

# The lock is held by `timeout`, so it lasts as long as the preparation, whoever asked for it.
prepare() {
  [ -f service/controller.sh ] || return 0
  before=$(($(wc -c <logs.out) + 1))
  # shellcheck disable=SC2016 # for that bash to expand
  SESSIOND_TAG=$1 timeout -k 5 "$2" bash -c 'exec 9>&-
for part in ./setup.sh ./inputs.sh ./secrets.sh; do [ ! -f "$part" ] || . "$part"; done
. ./service/controller.sh' controller.sh </dev/null >>logs.out 2>&1
}

stage() {
  flock -w 20 9 2>/dev/null || ! command -v flock >/dev/null || answer 75 busy "an earlier preparation still runs"
  mask=$(umask)
  umask 077
  reason=$( (export LC_ALL=C && unpack) 2>&1) || answer 73 unpack "$reason"
  [ "$(($(wc -c <.stage.tar)))" -eq "$1" ] || answer 65 short "the files did not arrive whole"
  rm -f .stage.tar
  : >>logs.out
  umask "$mask"
  prepare "$2" "$3"
  rc=$?
  if [ "$rc" -ne 0 ]; then
    # It may have failed for want of room, and then the log has no line to say so.
    reason=$( (umask 077 && export LC_ALL=C && head -c 4096 /dev/zero >.stage.room) 2>&1)
    room=$?
    rm -f .stage.room
    [ "$room" -eq 0 ] || answer 73 room "$reason"
    answer 1 "$rc" "$(last_line "$before")"
  fi
  answer 0 staged ''
}

main() {
  outset
  begin
  reason=$( (umask 077 && export LC_ALL=C && mkdir -p -- "$1" && cd -- "$1" && chmod 700 . && : >>stage.lock) 2>&1) ||
    answer 73 folder "$reason"
  cd -- "$1" || exit 75
  shift
  stage "$@" 9>>stage.lock
}

main "$@" <<'SESSIOND_PAYLOAD'
SESSIOND_PAYLOAD
