# shellcheck shell=bash disable=SC2154
# A login shell in the browser on 127.0.0.1:${servicePort}, until it is told to end.

# shellcheck source=services/_lib/toolkit.sh
. "${resource_jobdir}/lib/toolkit.sh"

webshell_venv=$(cat "${resource_jobdir}/service/webshell.path" 2>/dev/null)
if ! [ -x "${webshell_venv}/bin/python" ]; then
    displayErrorMessage "The web shell's environment is not on $(hostname): set SESSIOND_ENVS to a folder that all nodes see"
fi

shell_directory=${service_directory:-${HOME}}
case ${shell_directory} in
    '~') shell_directory=${HOME} ;;
    \~/*) shell_directory=${HOME}/${shell_directory#'~/'} ;;
esac
if ! [ -d "${shell_directory}" ]; then
    displayErrorMessage "There is no folder ${shell_directory} on $(hostname): set service_directory to one that exists"
fi

run_webshell() {
    # A trace of commands would put the token into the log, an option of the command line into everybody's ps.
    { set +x; } 2>/dev/null
    export WEBSHELL_TOKEN="${service_token}" WEBSHELL_SESSION="${resource_jobdir}"
    unset service_token
    # -I: modules and PYTHON* variables meant for the user's programs are not for this one.
    exec "${webshell_venv}/bin/python" -I "${resource_jobdir}/service/server.py" \
        --port "${servicePort}" --name "${openPort}" --static "${webshell_venv}/static" \
        --directory "${shell_directory}" --shell "${service_shell:-}"
}

# What the server left running. Little time is given after a TERM, hence no patience.
clean_up() { end_marked "WEBSHELL_SESSION=${resource_jobdir}" HUP TERM KILL; }

# shellcheck disable=SC2086 # may be empty, or a command and its options
${sshusercontainer} "${pw_job_dir}/utils/notify.sh"

serve run_webshell clean_up
webshell_status=$?
if [ "${webshell_status}" -ne 0 ]; then
    displayErrorMessage "The web shell ended with status ${webshell_status}: the log says why"
fi
