# shellcheck shell=bash disable=SC2154
# A desktop on the machine's DCV server, or the way to one that is there; a relay passes on what comes for it to the server.

# shellcheck source=services/_lib/toolkit.sh
. "${resource_jobdir}/lib/toolkit.sh"
# shellcheck source=services/_lib/relay.sh
. "${resource_jobdir}/lib/relay.sh"
# shellcheck source=services/nicedcv/dcv.sh
. "${resource_jobdir}/service/dcv.sh"

dcv_here=$(hostname)
if ! type -P dcv >/dev/null; then
    displayErrorMessage "There is no Amazon DCV on ${dcv_here}: its administrators have to install nice-dcv-server and a licence; the service turbovnc needs neither"
fi
if ! dcv_python=$(find_python); then
    displayErrorMessage "There is no Python 3.9 or newer on ${dcv_here}, which is needed to pass on what comes for DCV"
fi
if ! dcv list-sessions >/dev/null; then
    displayErrorMessage "The DCV server does not answer on ${dcv_here}: its administrators have to start it (systemctl start dcvserver)"
fi
dcv_port=$(dcv_setting web-port)
dcv_port=${dcv_port:-8443}
if ! [[ ${dcv_port} =~ ^[1-9][0-9]{0,4}$ ]]; then
    displayErrorMessage "The web-port in /etc/dcv/dcv.conf on ${dcv_here} is not a number"
fi

# Who may come in is DCV's to say. Where it lets in everybody, only this machine itself may reach it.
dcv_verifier=$(dcv_setting auth-token-verifier)
if [ -z "${dcv_verifier}" ] && [ "$(dcv_setting authentication)" = none ]; then
    dcv_listens=$(dcv_setting web-listen-endpoints)
    if [ -z "${dcv_listens}" ] || ! is_private "${dcv_listens}" || [ "${SESSIOND_BIND}" != 127.0.0.1 ]; then
        displayErrorMessage "The DCV server on ${dcv_here} lets in everybody who reaches its port: its administrators have to set auth-token-verifier, or authentication=\"system\""
    fi
fi

relay_to "${dcv_port}" dcv

if [ "${service_is_running:-}" = True ]; then
    if ! [[ ${service_display:-0} =~ ^:?[0-9]+$ ]]; then
        displayErrorMessage "service_display must be the number of a display, such as 1"
    fi
    export DISPLAY=:${service_display#:}
    if [ "${DISPLAY}" = : ]; then DISPLAY=:0; fi
else
    : >"${resource_jobdir}/service/dcv.created"
    if ! dcv create-session --type virtual --name "${job_name}" "${dcv_session}"; then
        rm -f "${resource_jobdir}/service/dcv.created"
        displayErrorMessage "DCV made no session on ${dcv_here}: the log says why; often there is no licence left, or only console sessions are allowed"
    fi
    DISPLAY=$(dcv_described x11-display)
    if XAUTHORITY=$(dcv_described x11-authority) && [ -n "${XAUTHORITY}" ]; then export XAUTHORITY; fi
    export DISPLAY
    if [ -n "${dcv_verifier}" ] && ! { type -P dcvsimpleextauth >/dev/null && give_token; }; then
        end_dcv
        displayErrorMessage "The session's token could not be given to DCV's external authenticator on ${dcv_here}: dcvsimpleextauth has to be there, and ${dcv_tokens} to be writable or sudo to ask for no password"
    fi
fi

# Whether somebody has logged out of the desktop, which ends DCV's session. No answer says nothing.
is_left() {
    local listed
    [ "${service_is_running:-}" != True ] && listed=$(dcv list-sessions 2>/dev/null) && [[ ${listed} != *"${dcv_session}"* ]]
}

run_dcv() {
    { set +x; } 2>/dev/null
    unset service_token
    export NICEDCV_SESSION="${resource_jobdir}"
    run_relayed "${dcv_python}" is_left "${service_bin:-}" "${service_background:-}"
}

clean_up() {
    end_dcv
    end_marked "NICEDCV_SESSION=${resource_jobdir}" TERM KILL
}

# shellcheck disable=SC2086 # may be empty, or a command and its options
${sshusercontainer} "${pw_job_dir}/utils/notify.sh"

serve run_dcv clean_up
dcv_status=$?
if [ "${dcv_status}" -ne 0 ]; then
    displayErrorMessage "The DCV desktop or its program ended with status ${dcv_status}: the log says why"
fi
