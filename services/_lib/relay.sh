# shellcheck shell=bash disable=SC2154
# For services whose server is the machine's own and not the session's: a relay to it, and a program beside it. It lies at
# lib/relay.sh of every session's folder, and wants lib/toolkit.sh.

# relay_to PORT USER...: publish where a relay to the server on PORT will listen, and keep its options in `relay`. Besides
# root and oneself, the server may belong to the USERs, as far as there are such.
relay_to() {
    local port=${servicePort} user id
    # A form may have said the server's own port, which is taken.
    if [ "${port}" = "$1" ]; then port=$(findAvailablePort) || exit 1; fi
    relay=(--to "$1" --owner 0 --owner "$(id -u)" --bind "${SESSIOND_BIND}" --port "${port}")
    for user in "${@:2}"; do
        if id=$(id -u "${user}" 2>/dev/null); then relay+=(--owner "${id}"); fi
    done
    if sessiond_listen_socket; then
        relay+=(--socket "${SESSIOND_LISTEN_SOCKET}")
    else
        sessiond_publish_endpoint "port=${port}"
    fi
}

# run_relayed PYTHON GONE PROGRAM BACKGROUND: run the relay, and the shell command PROGRAM (unless empty) on DISPLAY. The
# first to end ends this, with its status: the relay; the program, if BACKGROUND is False; the server's session, which has
# ended once GONE succeeds.
run_relayed() {
    local python=$1 gone=$2 program=$3 background=$4 news status pipe=${resource_jobdir}/service/news
    rm -f "${pipe}"
    mkfifo -m 600 "${pipe}" && exec {news}<>"${pipe}" && rm "${pipe}" || exit
    (
        (exec {news}>&- && exec "${python}" -I "${resource_jobdir}/lib/relay.py" "${relay[@]}")
        echo $? >&"${news}"
    ) &
    if [ -n "${program}" ]; then
        (
            trap - INT QUIT
            (exec {news}>&- && cd && exec bash -c "${program}")
            status=$?
            echo "the program has ended with status ${status}"
            if [ "${background}" = False ]; then echo "${status}" >&"${news}"; fi
        ) &
    fi
    # Such servers tell nobody that somebody has logged out.
    until read -r -t 5 -u "${news}" status; do
        if "${gone}"; then exit 0; fi
    done
    exit "${status}"
}
