# shellcheck shell=sh disable=SC2034 # variables are shared between the parts of a script
# Put before run.sh.

# going_down: whether systemd is ending everything, of the machine or of this login; sets why. Nobody could tell later
# who sent the signal.
going_down() {
  command -v systemctl >/dev/null || return 1
  [ "$(timeout -k 1 5 systemctl is-system-running)" != stopping ] || { why=shutdown && return 0; }
  [ -S "${XDG_RUNTIME_DIR:-/nonexistent}/systemd/private" ] || return 1
  [ "$(timeout -k 1 5 systemctl --user is-system-running)" = stopping ] && why=logout
}
