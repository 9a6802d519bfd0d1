# shellcheck shell=bash disable=SC2154
# End MATLAB and all that was started from it: it has some seconds to give its licence back.

if [ -r "${resource_jobdir}/lib/toolkit.sh" ]; then
    # shellcheck source=services/_lib/toolkit.sh
    . "${resource_jobdir}/lib/toolkit.sh"
    end_marked "MATLAB_SESSION=${resource_jobdir}" TERM CONT CONT CONT CONT CONT HUP KILL
fi
