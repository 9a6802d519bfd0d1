# shellcheck shell=sh
# Put after lib.sh before cleanup.sh and forget.sh: removing what may hold anything. Defines a function.

# remove PATH: a file or a folder with all in it; follows no links, enters no other file system, makes folders without
# write permission writable. What could not be done is said on stderr; fails where something is left.
remove() {
  find "$1" -xdev -type d ! -perm -700 -exec chmod u+rwx '{}' +
  find "$1" -xdev ! -type d -exec rm -f '{}' +
  find "$1" -xdev -depth -type d -exec rmdir '{}' +
  [ ! -e "$1" ] && [ ! -L "$1" ]
}
