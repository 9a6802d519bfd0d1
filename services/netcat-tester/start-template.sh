# shellcheck shell=bash disable=SC2154
# A page on ${SESSIOND_LISTEN_SOCKET}, else on ${SESSIOND_BIND}:${servicePort}, until it is told to end.

# shellcheck source=services/_lib/toolkit.sh
. "${resource_jobdir}/lib/toolkit.sh"

# Of the programs called nc only nmap's goes on after the first caller and answers by a command.
netcat=''
for netcat_candidate in ncat nc; do
    if [[ $("${netcat_candidate}" --version 2>&1) = *Ncat* ]]; then
        netcat=$(type -P "${netcat_candidate}")
        break
    fi
done
if sessiond_listen_socket; then
    netcat_where=(-U "${SESSIOND_LISTEN_SOCKET}")
else
    netcat_where=("${SESSIOND_BIND}" "${servicePort}")
fi

run_netcat() {
    # A trace of commands would put the token into the log, an option of the command line into everybody's ps.
    { set +x; } 2>/dev/null
    export NETCAT_TOKEN="${service_token}" NETCAT_SESSION="${resource_jobdir}"
    export NETCAT_ANSWER="${resource_jobdir}/service/answer.sh"
    unset service_token
    # The socket is for its owner only.
    umask 177
    if [ -n "${netcat}" ]; then
        # shellcheck disable=SC2016 # for the shell that ncat starts
        exec "${netcat}" -l -k -c 'exec bash "$NETCAT_ANSWER"' "${netcat_where[@]}"
    fi
    exec python3 -I "${resource_jobdir}/service/server.py" "${netcat_where[@]}"
}

# What the server left running. Little time is given after a TERM, hence no patience.
clean_up() {
    end_marked "NETCAT_SESSION=${resource_jobdir}" HUP TERM KILL
}

if [ -z "${netcat}" ] && ! python3 -c 'import socketserver' 2>/dev/null; then
    displayErrorMessage "There is neither ncat nor python3 on $(hostname): install one, or load it with service_load_env"
fi
echo "the page is served by ${netcat:-$(type -P python3)}"

# shellcheck disable=SC2086 # may be empty, or a command and its options
${sshusercontainer} "${pw_job_dir}/utils/notify.sh"

serve run_netcat clean_up
netcat_status=$?
if [ "${netcat_status}" -ne 0 ]; then
    displayErrorMessage "The page's server ended with status ${netcat_status}: the log says why"
fi
