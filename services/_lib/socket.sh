# shellcheck shell=bash
# The private folder of a session's Unix socket, on the host where the service runs. It cannot be the session's own
# folder: that may be shared between machines, and its path too long for a socket. Its path is in the session's folder,
# in `socket.folder`, so that it can be removed whatever became of the watcher.

# Whether $1 is a folder of ours that nobody else may enter.
sessiond_private() {
  [ -d "$1" ] && [ ! -L "$1" ] && [ -O "$1" ] && [ "$(stat -c %a "$1")" = 700 ]
}

# Whether the user's runtime folder outlives the user's logins.
sessiond_lingers() { [ -e "/var/lib/systemd/linger/$(id -un)" ]; }

# Where such folders are made. The user's runtime folder would be the place for them, but it goes with the user's last
# login, and with it the way to every service that lives on, unless the user is one who lingers (loginctl(1)).
sessiond_socket_base() {
  local runtime=${XDG_RUNTIME_DIR-}
  if [[ $runtime = /* ]] && ((${#runtime} < 70)) && sessiond_private "$runtime" && sessiond_lingers; then
    echo "$runtime"
  else
    echo /tmp
  fi
}

# Print the session's socket folder, made if there is none. A socket in it may have a path of 107 bytes, no more.
sessiond_socket_folder() (
  LC_ALL=C
  umask 077
  if read -r folder 2>/dev/null < "$SESSIOND_JOBDIR/socket.folder" && sessiond_private "$folder"; then
    echo "$folder"
    exit 0
  fi
  for base in "$(sessiond_socket_base)" /tmp; do
    folder=$(mktemp -d "$base/$SESSIOND_TAG.XXXXXXXX" 2>/dev/null) || continue
    set +C
    if echo "$folder" > "$SESSIOND_JOBDIR/socket.folder" && sessiond_private "$folder"; then
      echo "$folder"
      exit 0
    fi
    rmdir "$folder"
  done
  exit 1
)

# Remove the session's socket folder, if it is one: ours, no link, and named after the session. Desktops mount things in
# their runtime folder: those are other file systems, and somebody's files.
sessiond_release_socket() {
  local folder name
  if read -r folder 2>/dev/null < "$SESSIOND_JOBDIR/socket.folder"; then
    name=${folder##*/}
    if [[ $folder = /* && $name = "$SESSIOND_TAG".* && $folder != */../* ]] && [ -O "$folder" ] && [ ! -L "$folder" ]; then
      find "$folder" -xdev -depth -delete
    fi
  fi
  rm -f "$SESSIOND_JOBDIR/socket.folder"
}
