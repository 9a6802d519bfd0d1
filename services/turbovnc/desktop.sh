# shellcheck shell=bash disable=SC2154
# A display, what runs on it, and its end: functions for start-template.sh and kill-template.sh. What is started here
# bears TURBOVNC_SESSION in its environment, and what needs the display TURBOVNC_CLIENT as well.

# find_vnc: set `xvnc` to a VNC server, `kind` to tigervnc or turbovnc and `xvnc_help` to what it says of itself; fail
# without a word if there is none.
find_vnc() {
    local candidate version
    local candidates=(Xtigervnc Xvnc /opt/TigerVNC/bin/Xvnc /opt/TurboVNC/bin/Xvnc)
    if [ "${service_vnc_type:-}" = turbovnc ]; then candidates=(/opt/TurboVNC/bin/Xvnc "${candidates[@]}"); fi
    case ${service_vnc_exec:-} in
        '') ;;
        # Its wrapper would choose a display, a password and a desktop of its own.
        */vncserver) candidates=("${service_vnc_exec%/*}/Xvnc" "${candidates[@]}") ;;
        *) candidates=("${service_vnc_exec}" "${candidates[@]}") ;;
    esac
    for candidate in "${candidates[@]}"; do
        xvnc=$(type -P "${candidate}") || continue
        version=$(plainly "${xvnc}" -version 2>&1)
        xvnc_help=$(plainly "${xvnc}" -help 2>&1)
        case ${version}${xvnc_help} in
            *TigerVNC*) kind=tigervnc ;;
            *TurboVNC*) kind=turbovnc ;;
            *) continue ;;
        esac
        return 0
    done
    return 1
}

# plainly COMMAND...: become it, without what environments for programs (conda, modules) put in the way of a desktop:
# other libraries, another Python, other data. These made black screens of many desktops.
plainly() {
    unset LD_LIBRARY_PATH LD_PRELOAD PYTHONHOME PYTHONPATH PERL5LIB GI_TYPELIB_PATH GSETTINGS_SCHEMA_DIR GTK_PATH
    unset GDK_PIXBUF_MODULE_FILE GIO_MODULE_DIR QT_PLUGIN_PATH QT_QPA_PLATFORM_PLUGIN_PATH XKB_CONFIG_ROOT FONTCONFIG_FILE
    local conda part kept='' parts
    for conda in "${CONDA_PREFIX:-}" "${CONDA_PREFIX_1:-}" "${CONDA_EXE%/bin/conda}"; do
        [ -n "${conda}" ] || continue
        IFS=: read -r -a parts <<<"${PATH}"
        kept=''
        for part in "${parts[@]}"; do
            case ${part}/ in "${conda}"/*) ;; *) kept=${kept:+${kept}:}${part} ;; esac
        done
        PATH=${kept:-/usr/local/bin:/usr/bin:/bin}
    done
    exec "$@"
}

# reporting NAME COMMAND...: run COMMAND in the background; once it has ended, "NAME STATUS" is in the pipe `news`.
# Bash lets background commands ignore INT and QUIT; programs must know Ctrl-C.
reporting() {
    (
        trap - INT QUIT
        (exec {news}>&- && "${@:2}")
        echo "$1 $?" >&"${news}"
    ) &
}

# write_cookie: make ${XAUTHORITY} with a cookie of its own for every display. (xauth would have it on its command line.)
write_cookie() {
    (
        umask 077
        exec >"${XAUTHORITY}" || exit
        printf '\377\377\0\0\0\0\0\022MIT-MAGIC-COOKIE-1\0\020'
        head -c 16 /dev/urandom
    )
}

# is_served PATH: whether somebody is at that socket, whose name may also be an abstract one.
is_served() { awk -v name="$1" '$8 == name || $8 == "@" name { found = 1 } END { exit !found }' /proc/net/unix; }

# is_display_taken NUMBER: whether an X server uses that display, or is about to.
is_display_taken() { [ -e "/tmp/.X$1-lock" ] || [ -e "/tmp/.X11-unix/X$1" ] || is_served "/tmp/.X11-unix/X$1"; }

# lock_display: set DISPLAY to a free display and lock it as X servers do. (They do not where they are asked to say when
# they are ready, and where sockets have no abstract names one would take over another's.)
lock_display() {
    local number owner=${BASHPID}
    for ((number = 1; number < 1000; number++)); do
        is_display_taken "${number}" && continue
        if (set -C && umask 222 && printf '%10d\n' "${owner}" >"/tmp/.X${number}-lock") 2>/dev/null; then
            export DISPLAY=:${number}
            echo "${number}" >"${resource_jobdir}/service/display"
            return 0
        fi
    done
    echo "all displays from 1 to 999 are taken"
    return 1
}

# unlock_display: give the display back. A server that was killed leaves its socket.
unlock_display() {
    local number
    { read -r number <"${resource_jobdir}/service/display"; } 2>/dev/null || return 0
    rm -f "${resource_jobdir}/service/display"
    if [ -O "/tmp/.X${number}-lock" ]; then rm -f "/tmp/.X${number}-lock"; fi
    remove_socket "/tmp/.X11-unix/X${number}"
}

# remove_socket PATH: of ours that nobody is at.
remove_socket() { if [ -S "$1" ] && [ -O "$1" ] && ! is_served "$1"; then rm -f "$1"; fi; }

# start_display: start the VNC server on a free display and wait until it takes clients; `vnc` is then where it is.
start_display() {
    local options
    export XAUTHORITY=${private}/Xauthority
    write_cookie || return
    options=(
        -geometry "${service_geometry:-1440x900}" -depth 24 -auth "${XAUTHORITY}" -desktop "${job_name:-desktop}"
        -nolisten tcp -s 0 -displayfd "${news}"
    )
    # Without the statistics of every connection.
    if [ "${kind}" = tigervnc ]; then options+=(-Log '*:stderr:10'); fi
    if [[ ${xvnc_help} = *rfbunixpath* ]]; then
        vnc=${private}/vnc.sock
        options+=(-rfbunixpath "${vnc}" -rfbunixmode 0600 -SecurityTypes None)
        # TurboVNC does without TCP by itself then.
        if [ "${kind}" = tigervnc ]; then options+=(-rfbport -1); fi
    else
        vnc=127.0.0.1:$(findAvailablePort) || return
        write_password || return
        options+=(-rfbport "${vnc##*:}" -localhost -rfbauth "${private}/vnc.password")
        if [ "${kind}" = tigervnc ]; then options+=(-SecurityTypes VncAuth); else options+=(-SecurityTypes VNC); fi
    fi
    while lock_display; do
        if serve_display; then return 0; fi
        # Somebody who locks nothing was faster?
        is_served "/tmp/.X11-unix/X${DISPLAY#:}" || return 1
        unlock_display
    done
    return 1
}

# serve_display: the VNC server with the `options` on DISPLAY.
serve_display() {
    local word status
    # Not with its copy of the pipe closed: it says there that it is ready.
    (
        trap - INT QUIT
        (plainly "${xvnc}" "${DISPLAY}" "${options[@]}")
        echo "display $?" >&"${news}"
    ) &
    while read -r -t 60 -u "${news}" word status; do
        if [ ":${word}" = "${DISPLAY}" ]; then return 0; fi
        if [ "${word}" = display ]; then return "${status}"; fi
    done
    echo "${xvnc} was not ready after a minute"
    return 1
}

# write_password: a password for who may come in over TCP; VNC's are 8 characters long. `password` is not exported.
write_password() {
    local encoder=${xvnc%/*}/vncpasswd
    [ -x "${encoder}" ] || encoder=$(type -P vncpasswd) || return
    password=$(printf 'vnc of %s' "${token}" | sha256sum | cut -c1-8)
    (umask 077 && printf '%s\n' "${password}" | "${encoder}" -f >"${private}/vnc.password")
}

# start_bus: a message bus of the desktop's own, whose socket goes with the session. Without one a desktop would take
# that of a login on the same host, or start one that outlives it.
start_bus() {
    unset DBUS_SESSION_BUS_ADDRESS DBUS_SESSION_BUS_PID DBUS_STARTER_ADDRESS
    type -P dbus-daemon >/dev/null || return 0
    local address=unix:path=${XDG_RUNTIME_DIR}/bus
    if (exec {news}>&- && plainly dbus-daemon --session --fork --nosyslog --address="${address}"); then
        export DBUS_SESSION_BUS_ADDRESS=${address}
    fi
}

# choose_desktop: set `desktop` to the command of the desktop, or to nothing. Fails where what is asked for is not there.
choose_desktop() {
    local name
    case ${service_desktop:-} in
        none) desktop='' ;;
        xfce | xfce4) desktop=xfce4-session ;;
        mate) desktop=mate-session ;;
        gnome) desktop=gnome-session ;;
        icewm) desktop=icewm-session ;;
        openbox) desktop=openbox-session ;;
        '')
            desktop=''
            for name in xfce4-session mate-session gnome-session icewm-session openbox-session openbox icewm fluxbox; do
                if is_there "${name}"; then
                    desktop=${name}
                    break
                fi
            done
            return 0
            ;;
        *) desktop=${service_desktop} && return 0 ;;
    esac
    [ -z "${desktop}" ] || is_there "${desktop}"
}

# is_there PROGRAM: whether a desktop would find it.
is_there() (plainly bash -c "type -P $1" >/dev/null)

# await_desktop: until there is a window manager, or ten seconds are over: programs may believe what they find at first.
await_desktop() {
    local line reader
    type -P xprop >/dev/null || return 0
    # Of a property that nobody has set yet it would not wait for the first change, hence all of them.
    exec {reader}< <(exec timeout 10 stdbuf -oL xprop -root -spy 2>/dev/null)
    while read -r -u "${reader}" line; do
        case ${line} in *_NET_SUPPORTING_WM_CHECK*'window id'*) break ;; esac
    done
    exec {reader}<&-
}

# run_session: what a desktop finds to know itself by, and it.
run_session() {
    case ${desktop} in
        xfce4-session) export XDG_CURRENT_DESKTOP=XFCE ;;
        mate-session) export XDG_CURRENT_DESKTOP=MATE ;;
        gnome-session) export XDG_CURRENT_DESKTOP=GNOME ;;
    esac
    plainly bash -c "${desktop}"
}

# start_programs: the desktop, then the program.
start_programs() {
    export TURBOVNC_CLIENT="${resource_jobdir}"
    cd || return
    # Plain window managers leave the screen as it is, and black looks broken.
    if type -P xsetroot >/dev/null; then (plainly xsetroot -solid '#2f4858'); fi
    if [ -n "${desktop}" ]; then
        # Screen lockers would ask for a password that many accounts on clusters do not have.
        export XDG_CONFIG_DIRS="${resource_jobdir}/service/xdg:${XDG_CONFIG_DIRS:-/etc/xdg}"
        reporting desktop run_session
    fi
    if [ -n "${service_bin:-}" ]; then
        if [ -n "${desktop}" ]; then await_desktop; fi
        # By its definition a shell command, as the desktop may be one.
        reporting program bash -c "${service_bin}"
    fi
}

# end_desktop PATIENCE: end everything, what needs the display first. PATIENCE: signals that are merely waits.
end_desktop() {
    # shellcheck disable=SC2086 # words
    end_marked "TURBOVNC_CLIENT=${resource_jobdir}" TERM $1 HUP
    # shellcheck disable=SC2086 # words
    end_marked "TURBOVNC_SESSION=${resource_jobdir}" TERM $1 KILL KILL
    unlock_display
    # Session managers that are told to end leave theirs, named after their process.
    local socket
    for socket in /tmp/.ICE-unix/*; do
        if ! [ -e "/proc/${socket##*/}" ]; then remove_socket "${socket}"; fi
    done
}
