# shellcheck shell=bash disable=SC2154
# JupyterLab on ${SESSIOND_LISTEN_SOCKET}, else on ${SESSIOND_BIND}:${servicePort}, all of it below /me/${openPort}/,
# until it ends or is told to.

# shellcheck source=services/_lib/toolkit.sh
. "${resource_jobdir}/lib/toolkit.sh"

jupyter_lab=$(cat "${resource_jobdir}/service/jupyter-lab.path" 2>/dev/null || type -P jupyter-lab)
if [ -z "${jupyter_lab}" ]; then
    displayErrorMessage "There is no jupyter-lab here: set service_jupyter to the path of one"
fi

notebook_dir=${service_notebook_dir:-${HOME}}
case ${notebook_dir} in
    '~') notebook_dir=${HOME} ;;
    \~/*) notebook_dir=${HOME}/${notebook_dir#'~/'} ;;
esac
if ! [ -d "${notebook_dir}" ]; then
    displayErrorMessage "There is no folder ${notebook_dir} on $(hostname): set service_notebook_dir to one that exists"
fi

jupyter_options=(
    --no-browser
    --ServerApp.base_url="/me/${openPort}/"
    --ServerApp.root_dir="${notebook_dir}"
    # The Host of a request is whatever name the browser used for the gateway; the token is what protects.
    --ServerApp.allow_remote_access=True
    # TLS set up for a server of the user's own would hide this one from the gateway.
    --ServerApp.certfile= --ServerApp.keyfile=
    --ServerApp.terminals_enabled=True
    --ServerApp.shutdown_no_activity_timeout=0
    --MappingKernelManager.cull_idle_timeout=0
    # Neither news nor updates: compute nodes rarely reach the internet, and nobody asked.
    --LabApp.news_url=None
    --LabApp.check_for_updates_class=jupyterlab.NeverCheckForUpdate
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

# The runtime folder holds what JupyterLab writes for itself, goes with the session, and marks all it starts.
mkdir -p "${resource_jobdir}/jupyter-runtime/config/labconfig"
# JupyterLab 4 asks every new user whether they want news, whatever news_url says, unless this plugin is off.
echo '{"disabledExtensions": {"@jupyterlab/apputils-extension:announcements": true}}' \
    >"${resource_jobdir}/jupyter-runtime/config/labconfig/page_config.json"

run_jupyter() {
    # A trace of commands would put the token into the log, an option of the command line into everybody's ps.
    { set +x; } 2>/dev/null
    export JUPYTER_TOKEN="${service_token}" JUPYTER_RUNTIME_DIR="${resource_jobdir}/jupyter-runtime"
    export JUPYTER_CONFIG_PATH="${JUPYTER_RUNTIME_DIR}/config${JUPYTER_CONFIG_PATH:+:${JUPYTER_CONFIG_PATH}}"
    unset service_token
    cd "${notebook_dir}" || exit
    exec "${jupyter_lab}" "${jupyter_options[@]}"
}

# What the server left running. Little time is given after a TERM, hence no patience.
clean_up() {
    end_marked "JUPYTER_RUNTIME_DIR=${resource_jobdir}/jupyter-runtime" HUP TERM KILL
    rm -rf "${resource_jobdir}/jupyter-runtime"
}

# shellcheck disable=SC2086 # may be empty, or a command and its options
${sshusercontainer} "${pw_job_dir}/utils/notify.sh"

serve run_jupyter clean_up
jupyter_status=$?
if [ "${jupyter_status}" -ne 0 ]; then
    displayErrorMessage "JupyterLab ended with status ${jupyter_status}: the log says why"
fi
