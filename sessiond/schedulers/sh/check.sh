# shellcheck shell=sh disable=SC2034,SC2154 # variables are shared between the parts of a script
# What can be wrong with a login node, looked at without changing anything but a file that is removed again.
#
# Arguments: workdir, scheduler (slurm, pbs, none). Input: the cluster's setup lines. Reply: records KEY, VALUE..., in no order that matters:
#   now SECONDS · host NAME · missing TOOL... · version PROGRAM TEXT (empty: not there)
#   asked WHAT STATUS TEXT (124, 137, 143: no answer in time) · job ID NAME · setting NAME VALUE · linger yes|no|unknown
#   setup through|STATUS TEXT (how the lines ended, their first complaint; not there: no lines, or nothing to try them with)
#   workdir PATH · written STATUS TEXT · free KIBIBYTES FILESYSTEM MOUNTPOINT TYPE
# Exit status: 0.

main() {
  outset
  own_setup=$(cat)
  begin
  LC_ALL=C
  export LC_ALL
  me=$(id -un) || me=$(id -u)
  record now "$(date +%s)"
  record host "$host"
  set -f
  missing=''
  for tool in bash tar base64 timeout flock mktemp setsid find cut; do
    command -v "$tool" >/dev/null || missing="$missing $tool"
  done
  record missing "${missing# }"
  look_at_setup
  look_at_folder "$1"
  look_at_linger
  case $2 in
    slurm) ask_slurm ;;
    pbs) ask_pbs ;;
  esac
  finish 0
}

main "$@" 2>/dev/null <<'SESSIOND_PAYLOAD'
SESSIOND_PAYLOAD
