# shellcheck shell=bash disable=SC2154
# End Streamlit and all that the script started.

if [ -r "${resource_jobdir}/lib/toolkit.sh" ]; then
    # shellcheck source=services/_lib/toolkit.sh
    . "${resource_jobdir}/lib/toolkit.sh"
    end_marked "STREAMLIT_SESSION=${resource_jobdir}" TERM CONT CONT HUP KILL
fi
