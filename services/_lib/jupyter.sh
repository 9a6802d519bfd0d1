# shellcheck shell=bash disable=SC2154
# What the services that are a Jupyter server share. Sourced after toolkit.sh.

# jupyter_major PROGRAM: the major version it reports, 0 if it does not run.
jupyter_major() {
    local version
    version=$(timeout 60 "$1" --version 2>/dev/null | tail -n 1)
    version=${version%%.*}
    case $version in
        '' | *[!0-9]*) echo 0 ;;
        *) echo "$version" ;;
    esac
}

# own_jupyter PROGRAM MAJOR TITLE: set `jupyter` to the person's own PROGRAM, of version MAJOR or newer: the one that
# ${service_jupyter} names, else the one on PATH; fail if there is none. For controller.sh.
own_jupyter() {
    if [ -n "${service_jupyter:-}" ]; then
        jupyter=$(home_path "$service_jupyter")
        [ "$(jupyter_major "$jupyter")" -ge "$2" ] ||
            fail "$jupyter (service_jupyter) is not a $3 $2 or newer that runs: correct it, or leave it empty"
    elif jupyter=$(type -P "$1"); then
        if [ "$(jupyter_major "$jupyter")" -lt "$2" ]; then
            echo "$jupyter is not used: it is not a $3 $2 or newer that runs"
            return 1
        fi
        echo "using $jupyter"
    else
        return 1
    fi
}

# serve_jupyter PROGRAM TITLE OPTION...: PROGRAM on ${SESSIOND_LISTEN_SOCKET}, else on ${SESSIOND_BIND}:${servicePort},
# all of it below /me/${openPort}/, until it ends or is told to. For start-template.sh.
serve_jupyter() {
    local program=$1 title=$2 status
    shift 2
    jupyter_program=$(cat "${resource_jobdir}/service/$program.path" 2>/dev/null || type -P "$program")
    if [ -z "$jupyter_program" ]; then
        displayErrorMessage "There is no $program here: set service_jupyter to the path of one"
    fi
    jupyter_folder=$(home_path "${service_notebook_dir:-$HOME}")
    if ! [ -d "$jupyter_folder" ]; then
        displayErrorMessage "There is no folder $jupyter_folder on $(hostname): set service_notebook_dir to one that exists"
    fi
    jupyter_options=(
        --no-browser
        --ServerApp.base_url="/me/${openPort}/"
        --ServerApp.root_dir="$jupyter_folder"
        # The Host of a request is whatever name the browser used for the gateway; the token is what protects.
        --ServerApp.allow_remote_access=True
        # TLS set up for a server of the user's own would hide this one from the gateway.
        --ServerApp.certfile= --ServerApp.keyfile=
        --ServerApp.terminals_enabled=True
        --ServerApp.shutdown_no_activity_timeout=0
        --MappingKernelManager.cull_idle_timeout=0
        "$@"
    )
    if sessiond_listen_socket; then
        # Jupyter Server refuses a socket together with any port but its default, which then is not used.
        jupyter_options+=(--ServerApp.sock="${SESSIOND_LISTEN_SOCKET}" --ServerApp.sock_mode=0600 --ServerApp.port=8888)
    else
        # A port that was taken meanwhile is an error to be told, not a reason to listen where nobody looks.
        jupyter_options+=(
            --ServerApp.sock= --ServerApp.ip="${SESSIOND_BIND}" --ServerApp.port="${servicePort}" --ServerApp.port_retries=0
        )
    fi
    if [ "$(id -u)" -eq 0 ]; then jupyter_options+=(--allow-root); fi
    furnish_jupyter

    # shellcheck disable=SC2086 # may be empty, or a command and its options
    ${sshusercontainer} "${pw_job_dir}/utils/notify.sh"

    serve run_jupyter clean_up_jupyter
    status=$?
    if [ "$status" -ne 0 ]; then
        displayErrorMessage "$title ended with status $status: the log says why"
    fi
}

# The runtime folder holds what Jupyter writes for itself, goes with the session, and marks all that is started from it.
# Settings in its `config` precede the user's own.
furnish_jupyter() {
    local config=${resource_jobdir}/jupyter-runtime/config
    mkdir -p "$config/labconfig"
    # JupyterLab 4 asks every new user whether they want news, whatever news_url says, unless this plugin is off.
    echo '{"disabledExtensions": {"@jupyterlab/apputils-extension:announcements": true}}' >"$config/labconfig/page_config.json"
    (umask 077 && jupyter_password >"$config/jupyter_server_config.json") 2>/dev/null
}

# Print the settings that let in who types ${service_password}, beside who comes with the token.
jupyter_password() {
    local salt digest
    if [ -z "${service_password:-}" ]; then
        echo '{}'
        return
    fi
    salt=$(od -An -N 8 -t x1 /dev/urandom | tr -d ' \n')
    digest=$(printf '%s%s' "$service_password" "$salt" | sha256sum)
    printf '{"PasswordIdentityProvider": {"hashed_password": "sha256:%s:%s"}}\n' "$salt" "${digest%% *}"
}

run_jupyter() {
    # A trace of commands would put the token into the log, an option of the command line into everybody's ps.
    { set +x; } 2>/dev/null
    export JUPYTER_TOKEN="${service_token}" JUPYTER_RUNTIME_DIR="${resource_jobdir}/jupyter-runtime"
    export JUPYTER_CONFIG_PATH="${JUPYTER_RUNTIME_DIR}/config${JUPYTER_CONFIG_PATH:+:${JUPYTER_CONFIG_PATH}}"
    unset service_token service_password
    cd "$jupyter_folder" || exit
    exec "$jupyter_program" "${jupyter_options[@]}"
}

# What the server left running. Little time is given after a TERM, hence no patience.
clean_up_jupyter() {
    end_marked "JUPYTER_RUNTIME_DIR=${resource_jobdir}/jupyter-runtime" HUP TERM KILL
    rm -rf "${resource_jobdir}/jupyter-runtime"
}

# For kill-template.sh: the server has some seconds to stop its kernels itself.
end_jupyter() {
    end_marked "JUPYTER_RUNTIME_DIR=${resource_jobdir}/jupyter-runtime" TERM CONT CONT CONT HUP KILL
    rm -rf "${resource_jobdir}/jupyter-runtime"
}
