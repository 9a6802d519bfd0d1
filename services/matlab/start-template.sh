# shellcheck shell=bash disable=SC2154
# MATLAB in the browser on ${SESSIOND_BIND}:${servicePort}, all of it below /me/${openPort}/, until it ends or is told to.
# matlab-proxy can listen on a port only.

# shellcheck source=services/_lib/toolkit.sh
. "${resource_jobdir}/lib/toolkit.sh"

matlab_python=$(cat "${resource_jobdir}/service/python.path" 2>/dev/null)
if ! [ -x "${matlab_python}" ]; then
    displayErrorMessage "matlab-proxy's environment is not on $(hostname): set SESSIOND_ENVS to a folder that all nodes see"
fi
matlab_root=$(home_path "${service_matlab_root:-}")
if [ -n "${matlab_root}" ]; then
    if ! [ -x "${matlab_root}/bin/matlab" ]; then
        displayErrorMessage "There is no bin/matlab in ${matlab_root} on $(hostname): set service_matlab_root to MATLAB's folder"
    fi
elif ! type -P matlab >/dev/null; then
    displayErrorMessage "There is no MATLAB on $(hostname): load it with service_load_env (e.g. module load matlab), or set service_matlab_root to its folder"
fi

run_matlab() {
    # A trace of commands would put the token into the log, an option of the command line into everybody's ps.
    { set +x; } 2>/dev/null
    export MWI_AUTH_TOKEN="${service_token}" MWI_ENABLE_TOKEN_AUTH=true MATLAB_SESSION="${resource_jobdir}"
    export MWI_BASE_URL="/me/${openPort}" MWI_APP_PORT="${servicePort}" MWI_ENABLE_SSL=false
    if [ -n "${matlab_root}" ]; then export MWI_CUSTOM_MATLAB_ROOT="${matlab_root}"; fi
    # The log of the session is the log. Whoever closes the page goes on with it later.
    unset service_token MWI_LOG_FILE MWI_SHUTDOWN_ON_IDLE_TIMEOUT
    # matlab-proxy keeps an address with the token in it below this folder.
    mkdir -p "${HOME}/.matlab/MWI" && chmod 700 "${HOME}/.matlab/MWI" || exit
    cd "${HOME}" || exit
    exec "${matlab_python}" -I "${resource_jobdir}/service/server.py" "${SESSIOND_BIND}"
}

# What the server left running. Little time is given after a TERM, hence no patience.
clean_up() {
    end_marked "MATLAB_SESSION=${resource_jobdir}" HUP TERM KILL
}

# shellcheck disable=SC2086 # may be empty, or a command and its options
${sshusercontainer} "${pw_job_dir}/utils/notify.sh"

serve run_matlab clean_up
matlab_status=$?
if [ "${matlab_status}" -ne 0 ]; then
    displayErrorMessage "matlab-proxy ended with status ${matlab_status}: the log says why"
fi
