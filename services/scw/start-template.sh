# shellcheck shell=bash disable=SC2154
# The way to the Scyld Cloud Workstation of the machine: a relay passes on what comes for it.

# shellcheck source=services/_lib/toolkit.sh
. "${resource_jobdir}/lib/toolkit.sh"
# shellcheck source=services/_lib/relay.sh
. "${resource_jobdir}/lib/relay.sh"
# shellcheck source=services/scw/scw.sh
. "${resource_jobdir}/service/scw.sh"

scw_here=$(hostname)
scw_home=${SCW_HOME:-/opt/scyld-cloud-workstation}
if ! [ -d "${scw_home}" ]; then
    displayErrorMessage "There is no Scyld Cloud Workstation on ${scw_here}: its administrators have to install it with a licence; the service turbovnc needs neither"
fi
if ! scw_python=$(find_python); then
    displayErrorMessage "There is no Python 3.9 or newer on ${scw_here}, which is needed to pass on what comes for Scyld Cloud Workstation"
fi
if ! [[ ${service_display:-0} =~ ^:?[0-9]+$ ]]; then
    displayErrorMessage "service_display must be the number of a display, such as 0"
fi
if ! scw_listens && ! start_scw; then
    end_scw
    displayErrorMessage "Scyld Cloud Workstation does not run on port ${service_scw_port:-443} of ${scw_here} and could not be started: its administrators have to start it, or let you run service(8) by sudo without a password"
fi

relay_to "${service_scw_port:-443}"

run_scw() {
    { set +x; } 2>/dev/null
    unset service_token
    export SCW_SESSION="${resource_jobdir}" DISPLAY=":${service_display#:}"
    # It tells nobody whether somebody is signed in.
    run_relayed "${scw_python}" false "${service_bin:-}" "${service_background:-}"
}

clean_up() {
    end_scw
    end_marked "SCW_SESSION=${resource_jobdir}" TERM KILL
}

# shellcheck disable=SC2086 # may be empty, or a command and its options
${sshusercontainer} "${pw_job_dir}/utils/notify.sh"

serve run_scw clean_up
scw_status=$?
if [ "${scw_status}" -ne 0 ]; then
    displayErrorMessage "The relay to Scyld Cloud Workstation or the program ended with status ${scw_status}: the log says why"
fi
