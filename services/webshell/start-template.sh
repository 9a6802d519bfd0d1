# shellcheck shell=bash disable=SC2154
# A login shell in the browser on ${SESSIOND_LISTEN_SOCKET}, else on ${SESSIOND_BIND}:${servicePort}, until it is told to
# end.

# shellcheck source=services/_lib/toolkit.sh
. "${resource_jobdir}/lib/toolkit.sh"

shell_directory=$(home_path "${service_directory:-${HOME}}")
if ! [ -d "${shell_directory}" ]; then
    displayErrorMessage "There is no folder ${shell_directory} on $(hostname): set service_directory to one that exists"
fi

webshell_options=(--port "${servicePort}" --bind "${SESSIOND_BIND}")
if sessiond_listen_socket; then webshell_options+=(--socket "${SESSIOND_LISTEN_SOCKET}"); fi

# ttyd takes a password on its command line only, where everybody can read it, so it gets none. It is used only on a
# socket in a private folder, which keeps other users out, and only if it can refuse what lacks the gateway's header:
# else any web page that is open in the user's browser could reach it through the session's own port. Nor may it have to
# be where shells start, which may be a folder that others can write to: ttyd 1.7.7 with the libwebsockets 4.3.5 of
# Debian's package loads libwebsockets-evlib_uv.so from the folder it is in, before it looks anywhere else.
ttyd='' ttyd_help=''
if [ "${service_ttyd}" != false ] && [ -n "${SESSIOND_LISTEN_SOCKET}" ] && ttyd=$(type -P ttyd); then
    ttyd_help=$("${ttyd}" --help 2>&1)
    if [[ ${ttyd_help} != *"UNIX domain socket"* || ${ttyd_help} != *--auth-header* || ${ttyd_help} != *--cwd* ]]; then
        echo "${ttyd} is not used: it is older than 1.7, and could not be kept to the gateway"
        ttyd=''
    fi
fi

run_ttyd() {
    cd "${shell_directory}" || exit
    local there=${PWD}
    local options=(-i "${SESSIOND_LISTEN_SOCKET}" -H X-Forwarded-Prefix -w "${there}")
    # The versions that know this option are read-only without it.
    if [[ ${ttyd_help} = *--writable* ]]; then options+=(-W); fi
    export WEBSHELL_SESSION="${resource_jobdir}" COLORTERM=truecolor SHELL
    exec {webshell_awaited}>&-
    cd "${resource_jobdir}" || exit
    unset service_token COLUMNS LINES OLDPWD
    # A shell believes in this, where it is right, and shows a folder by the name it was given.
    export PWD="${there}"
    exec "${ttyd}" "${options[@]}" "${service_shell:-${SHELL:-/bin/sh}}" -l
}

# A ttyd whose libwebsockets cannot use a Unix socket goes on without one, and nobody would know why there is no answer.
# Input: nothing, and its end once nobody waits any more: a process that sleeps would be left for a moment.
await_ttyd() {
    local tenths
    for ((tenths = 0; tenths < 100; tenths++)); do
        if [ -S "${SESSIOND_LISTEN_SOCKET}" ]; then return; fi
        read -r -t 0.1
        if [ $? -le 128 ]; then return; fi
    done
    displayErrorMessage "${ttyd} does not listen on a Unix socket: set service_ttyd to false"
}

run_webshell() {
    # A trace of commands would put the token into the log, an option of the command line into everybody's ps.
    { set +x; } 2>/dev/null
    export WEBSHELL_TOKEN="${service_token}" WEBSHELL_SESSION="${resource_jobdir}"
    unset service_token
    # -I: modules and PYTHON* variables meant for the user's programs are not for this one.
    exec "${webshell_venv}/bin/python" -I -B "${resource_jobdir}/service/server.py" "${webshell_options[@]}" \
        --name "${openPort}" --static "${webshell_venv}/static" \
        --directory "${shell_directory}" --shell "${service_shell:-}"
}

if [ -n "${ttyd}" ]; then
    echo "the web shell is ${ttyd}"
    webshell=run_ttyd
    exec {webshell_awaited}> >(await_ttyd)
else
    webshell=run_webshell
    webshell_venv=$(cat "${resource_jobdir}/service/webshell.path" 2>/dev/null)
    if ! [ -x "${webshell_venv}/bin/python" ]; then
        displayErrorMessage "The web shell's environment is not on $(hostname): set SESSIOND_ENVS to a folder that all nodes see"
    fi
fi

# What the server left running. Little time is given after a TERM, hence no patience.
clean_up() {
    if [ -n "${webshell_awaited:-}" ]; then exec {webshell_awaited}>&-; fi
    end_marked "WEBSHELL_SESSION=${resource_jobdir}" HUP TERM KILL
}

# shellcheck disable=SC2086 # may be empty, or a command and its options
${sshusercontainer} "${pw_job_dir}/utils/notify.sh"

serve "${webshell}" clean_up
webshell_status=$?
if [ "${webshell_status}" -ne 0 ]; then
    displayErrorMessage "The web shell ended with status ${webshell_status}: the log says why"
fi
