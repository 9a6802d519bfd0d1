# shellcheck shell=bash disable=SC2154
# End the page's server.

if [ -r "${resource_jobdir}/lib/toolkit.sh" ]; then
    # shellcheck source=services/_lib/toolkit.sh
    . "${resource_jobdir}/lib/toolkit.sh"
    end_marked "NETCAT_SESSION=${resource_jobdir}" TERM CONT HUP KILL
fi
