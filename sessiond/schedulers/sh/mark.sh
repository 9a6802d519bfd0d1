# shellcheck shell=sh disable=SC2034,SC2154 # variables are shared between the parts of a script
# Put before slurm_cancel.sh and pbs_cancel.sh: the mark that tells a session's runner to end. Defines functions, prints
# nothing.

# mark: writes stop, "UTC seconds HOW", and sets since to when it was first written
mark() {
  since='' how=soft
  [ "$patience" -gt 0 ] || how=force
  [ ! -s stop ] || read -r since was <stop
  case $since in '' | *[!0-9]*) since=$now was='' ;; esac
  [ "$was" != force ] || how=force
  [ "$was" = "$how" ] || { (umask 077 && echo "$since $how" >stop.new) && mv -f stop.new stop; }
}

# in_time: writes the mark into the current folder; whether the runner may end the session by itself for a while
in_time() { mark && [ "$patience" -gt 0 ] && [ "$((now - since))" -lt "$patience" ]; }
