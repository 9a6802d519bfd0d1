# shellcheck shell=bash disable=SC2154
# A desktop with a program on it, shown by noVNC on ${SESSIOND_LISTEN_SOCKET}, else on ${SESSIOND_BIND}:${servicePort},
# until its program (if that is what the session is for), its user or somebody else ends it.

# shellcheck source=services/_lib/toolkit.sh
. "${resource_jobdir}/lib/toolkit.sh"
# shellcheck source=services/turbovnc/desktop.sh
. "${resource_jobdir}/service/desktop.sh"

turbovnc_here=$(hostname)
turbovnc_venv=$(cat "${resource_jobdir}/service/turbovnc.path" 2>/dev/null)
novnc=$(cat "${resource_jobdir}/service/novnc.path" 2>/dev/null)
if ! [ -x "${turbovnc_venv}/bin/python" ]; then
    displayErrorMessage "noVNC's environment is not on ${turbovnc_here}: set SESSIOND_ENVS to a folder that all nodes see"
fi
if ! [ -e "${novnc}/vnc.html" ]; then
    displayErrorMessage "The noVNC in ${novnc} is not on ${turbovnc_here}: set service_novnc_dir to install, or to a folder that all nodes see"
fi
if ! [[ ${service_geometry:-1440x900} =~ ^[1-9][0-9]{2,4}x[1-9][0-9]{2,4}$ ]]; then
    displayErrorMessage "service_geometry must be a width and a height such as 1440x900"
fi
if ! find_vnc; then
    displayErrorMessage "There is no VNC server on ${turbovnc_here}: install TigerVNC (on Debian tigervnc-standalone-server) or TurboVNC there, or set service_vnc_exec to the path of its Xvnc"
fi
if ! choose_desktop; then
    displayErrorMessage "There is no ${desktop} on ${turbovnc_here}: set service_desktop to a desktop that is, or leave it empty"
fi
if [ -z "${desktop}${service_bin:-}" ]; then
    displayErrorMessage "There is no desktop on ${turbovnc_here} and no program to show: install one (xfce4, icewm, openbox), or set service_bin"
fi
# On this machine's own disk, for this user only, removed with the session. Not the user's own runtime folder: a
# session's desktop must not meet that of a login, and in a batch job there often is none.
if ! private=$(sessiond_socket_folder); then
    displayErrorMessage "No private folder can be made in /tmp of ${turbovnc_here}: is it full?"
fi

novnc_options=(--port "${servicePort}" --bind "${SESSIOND_BIND}" --name "${openPort}" --novnc "${novnc}")
if sessiond_listen_socket; then novnc_options+=(--socket "${SESSIOND_LISTEN_SOCKET}"); fi

turbovnc_end=${resource_jobdir}/service/end

run_novnc() {
    export TURBOVNC_TOKEN="${token}" TURBOVNC_PASSWORD="${password}"
    plainly "${turbovnc_venv}/bin/python" -I -B \
        "${resource_jobdir}/service/server.py" "${novnc_options[@]}" --vnc "${vnc}"
}

# The first part to end decides how the session ends; the file keeps why. TERM simply ends this shell.
run_desktop() {
    # A trace of commands would put the token into the log.
    { set +x; } 2>/dev/null
    local token=${service_token} password='' vnc='' news word status
    unset service_token
    export TURBOVNC_SESSION="${resource_jobdir}"
    mkfifo -m 600 "${private}/news" && exec {news}<>"${private}/news" && rm "${private}/news" || exit
    # What belongs to another desktop, a login's or the one that the session was started from.
    unset SESSION_MANAGER WAYLAND_DISPLAY XDG_SESSION_ID XDG_SEAT XDG_VTNR DESKTOP_STARTUP_ID SSH_AGENT_PID GPG_AGENT_INFO
    export XDG_RUNTIME_DIR=${private}/run ICEAUTHORITY=${private}/ICEauthority XDG_SESSION_TYPE=x11
    # A file system that gvfs mounts in there would be in the way when the folder is removed.
    export GVFS_DISABLE_FUSE=1
    mkdir -m 700 "${XDG_RUNTIME_DIR}" || exit
    if ! start_display; then
        echo "The VNC server ${xvnc} did not start: the log says why" >"${turbovnc_end}"
        exit 1
    fi
    reporting novnc run_novnc
    start_bus
    start_programs
    while read -r -u "${news}" word status; do
        if [ "${word}" = program ]; then
            echo "the program has ended with status ${status}"
            if [ "${service_background:-}" != False ] && [ -n "${desktop}" ]; then continue; fi
        fi
        case ${word}:${status} in
            # The user has left it, or somebody told it to end: with HUP or TERM.
            program:0 | desktop:0 | *:129 | *:143) exit 0 ;;
            program:*) echo "The program ended with status ${status}: the log may say why" ;;
            desktop:*) echo "The desktop (${desktop}) ended with status ${status}: the log says why" ;;
            display:*) echo "The VNC server ended with status ${status}: the log says why" ;;
            *) echo "noVNC's server ended with status ${status}: the log says why" ;;
        esac >"${turbovnc_end}"
        exit 1
    done
}

# Little time is given after a TERM, hence no patience.
clean_up() { end_desktop ''; }

rm -f "${turbovnc_end}"
# shellcheck disable=SC2086 # may be empty, or a command and its options
${sshusercontainer} "${pw_job_dir}/utils/notify.sh"

serve run_desktop clean_up
turbovnc_status=$?
if [ "${turbovnc_status}" -ne 0 ]; then
    turbovnc_cause=$(cat "${turbovnc_end}" 2>/dev/null)
    displayErrorMessage "${turbovnc_cause:-The desktop ended with status ${turbovnc_status}: the log says why}"
fi
