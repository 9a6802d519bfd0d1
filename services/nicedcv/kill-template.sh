# shellcheck shell=bash disable=SC2154
# Close the DCV session that was made for this one, and end the program and the relay.

if [ -r "${resource_jobdir}/lib/toolkit.sh" ] && [ -r "${resource_jobdir}/service/dcv.sh" ]; then
    # shellcheck source=services/_lib/toolkit.sh
    . "${resource_jobdir}/lib/toolkit.sh"
    # shellcheck source=services/nicedcv/dcv.sh
    . "${resource_jobdir}/service/dcv.sh"
    end_dcv
    end_marked "NICEDCV_SESSION=${resource_jobdir}" TERM CONT CONT CONT KILL
fi
