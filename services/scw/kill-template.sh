# shellcheck shell=bash disable=SC2154
# End the program and the relay, and the machine's service if this session started it.

if [ -r "${resource_jobdir}/lib/toolkit.sh" ] && [ -r "${resource_jobdir}/service/scw.sh" ]; then
    # shellcheck source=services/_lib/toolkit.sh
    . "${resource_jobdir}/lib/toolkit.sh"
    # shellcheck source=services/scw/scw.sh
    . "${resource_jobdir}/service/scw.sh"
    end_scw
    end_marked "SCW_SESSION=${resource_jobdir}" TERM CONT CONT CONT KILL
fi
