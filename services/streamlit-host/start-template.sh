# shellcheck shell=bash disable=SC2154
# A Streamlit script on ${SESSIOND_LISTEN_SOCKET}, else on ${SESSIOND_BIND}:${servicePort}, all of it below
# /me/${openPort}/, until it is told to end.

# shellcheck source=services/_lib/toolkit.sh
. "${resource_jobdir}/lib/toolkit.sh"
# shellcheck source=services/_lib/conda.sh
. "${resource_jobdir}/lib/conda.sh"

# For what the script imports by way of the environment. That it cannot be had was said by controller.sh.
enter_conda

streamlit_script=$(home_path "${service_streamlit_script:-${resource_jobdir}/service/demo.py}")
if ! [ -f "${streamlit_script}" ]; then
    displayErrorMessage "There is no file ${streamlit_script} on $(hostname): set service_streamlit_script to a script that exists"
fi
streamlit_python=$(cat "${resource_jobdir}/service/python.path" 2>/dev/null)
if ! type -P "${streamlit_python}" >/dev/null; then
    displayErrorMessage "Streamlit's environment is not on $(hostname): set SESSIOND_ENVS to a folder that all nodes see"
fi
streamlit_options=(--port "${servicePort}" --bind "${SESSIOND_BIND}" --public "/me/${openPort}")
if sessiond_listen_socket; then streamlit_options+=(--socket "${SESSIOND_LISTEN_SOCKET}"); fi

run_streamlit() {
    # A trace of commands would put the token into the log, an option of the command line into everybody's ps.
    { set +x; } 2>/dev/null
    export STREAMLIT_SESSION_TOKEN="${service_token}" STREAMLIT_SESSION="${resource_jobdir}"
    unset service_token
    cd "$(dirname "${streamlit_script}")" || exit
    exec "${streamlit_python}" "${resource_jobdir}/service/server.py" "${streamlit_options[@]}" "$(basename "${streamlit_script}")"
}

# What the server left running. Little time is given after a TERM, hence no patience.
clean_up() {
    end_marked "STREAMLIT_SESSION=${resource_jobdir}" HUP TERM KILL
}

# shellcheck disable=SC2086 # may be empty, or a command and its options
${sshusercontainer} "${pw_job_dir}/utils/notify.sh"

serve run_streamlit clean_up
streamlit_status=$?
if [ "${streamlit_status}" -ne 0 ]; then
    displayErrorMessage "Streamlit ended with status ${streamlit_status}: the log says why"
fi
