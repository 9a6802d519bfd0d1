# shellcheck shell=sh disable=SC2154 # variables are shared between the parts of a script
# Put before run.sh.

# leave: writes down who of the group still runs now that the session has ended. They may bear no mark that they could be
# found by, and once we are gone nobody could tell that the group is ours.
leave() {
  others=''
  for file in /proc/[0-9]*/stat; do
    file=${file#/proc/} file=${file%/stat}
    stat_of "$file" && [ "$p_group" = "$$" ] || continue
    case " $$ $watcher " in *" $file "*) ;; *) others="$others $file:$p_start" ;; esac
  done
  [ -z "$others" ] || (umask 077 && echo "$boot$others" >"left.$SESSIOND_TAG")
}
