# shellcheck shell=bash disable=SC2154
# End code-server and all that was started in its terminals. Interactive shells heed only HUP.

if [ -r "${resource_jobdir}/lib/toolkit.sh" ]; then
    # shellcheck source=services/_lib/toolkit.sh
    . "${resource_jobdir}/lib/toolkit.sh"
    end_marked "CODE_SESSION=${resource_jobdir}" TERM CONT CONT HUP KILL
fi
