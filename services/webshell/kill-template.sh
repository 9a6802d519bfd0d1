# shellcheck shell=bash disable=SC2154
# End the web shell and all that was started in it. Interactive shells heed only HUP.

if [ -r "${resource_jobdir}/lib/toolkit.sh" ]; then
    # shellcheck source=services/_lib/toolkit.sh
    . "${resource_jobdir}/lib/toolkit.sh"
    end_marked "WEBSHELL_SESSION=${resource_jobdir}" TERM CONT CONT CONT HUP KILL
fi
