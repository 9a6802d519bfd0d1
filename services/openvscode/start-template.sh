# shellcheck shell=bash disable=SC2154
# VS Code in the browser on ${SESSIOND_LISTEN_SOCKET}, else on ${SESSIOND_BIND}:${servicePort}, until it is told to end.
# code-server knows passwords that are typed, and no token in the URL: it listens on a socket behind a door.

# shellcheck source=services/_lib/toolkit.sh
. "${resource_jobdir}/lib/toolkit.sh"

code_server=$(cat "${resource_jobdir}/service/code-server.path" 2>/dev/null)
if ! [ -x "${code_server}" ]; then
    displayErrorMessage "There is no ${code_server:-code-server} on $(hostname): set service_install_dir to a folder that all nodes see"
fi
code_directory=$(home_path "${service_directory:-${HOME}}")
if ! [ -d "${code_directory}" ]; then
    displayErrorMessage "There is no folder ${code_directory} on $(hostname): set service_directory to one that exists"
fi
code_python=$(find_python 7 asyncio)
if [ -z "${code_python}" ]; then
    displayErrorMessage "There is no Python 3.7 or newer on $(hostname), which asks for the session's token: load one with service_load_env"
fi
code_sockets=$(sessiond_socket_folder) ||
    displayErrorMessage "No private folder can be made in /tmp of $(hostname): is the disk full?"

code_options=(
    --config "${resource_jobdir}/service/config.yaml"
    --socket "${code_sockets}/code.sock"
)
if [ -n "${service_password}" ]; then code_options+=(--auth password); else code_options+=(--auth none); fi
code_help=$("${code_server}" --config "${resource_jobdir}/service/config.yaml" --help 2>&1)
# optional OPTION VALUE...: use an option that older versions do not have.
optional() {
    if [[ ${code_help} = *"$1"* ]]; then code_options+=("$@"); fi
}
optional --socket-mode 600
# The folder that was asked for, not the one that some other session had open last.
optional --ignore-last-opened
# Each session has its own `code-server FILE`.
optional --session-socket "${code_sockets}/open.sock"
optional --abs-proxy-base-path "/me/${openPort}"
code_options+=("${code_directory}")

code_door=(--bind "${SESSIOND_BIND}" --port "${servicePort}" --to "${code_sockets}/code.sock" --name "${openPort}" --open /healthz)
if sessiond_listen_socket; then code_door+=(--socket "${SESSIOND_LISTEN_SOCKET}"); fi

run_code() {
    # A trace of commands would put the secrets into the log, an option of the command line into everybody's ps.
    { set +x; } 2>/dev/null
    export DOOR_TOKEN="${service_token}" CODE_SESSION="${resource_jobdir}"
    if [ -n "${service_password}" ]; then export PASSWORD="${service_password}"; fi
    if [ -n "${service_github_token}" ]; then export GITHUB_TOKEN="${service_github_token}"; fi
    unset service_token service_password service_github_token
    # One that the user's own shell runs in is not to be talked to.
    unset VSCODE_IPC_HOOK_CLI
    cd "${code_directory}" || exit
    exec "${code_python}" -I "${resource_jobdir}/lib/doorman.py" "${code_door[@]}" -- "${code_server}" "${code_options[@]}"
}

# What the server left running. Little time is given after a TERM, hence no patience.
clean_up() {
    end_marked "CODE_SESSION=${resource_jobdir}" HUP TERM KILL
}

# shellcheck disable=SC2086 # may be empty, or a command and its options
${sshusercontainer} "${pw_job_dir}/utils/notify.sh"

serve run_code clean_up
code_status=$?
if [ "${code_status}" -ne 0 ]; then
    displayErrorMessage "code-server ended with status ${code_status}: the log says why"
fi
