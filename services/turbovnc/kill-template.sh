# shellcheck shell=bash disable=SC2154
# End the programs on the desktop, the desktop, and then the display: they have some seconds to end by themselves.

if [ -r "${resource_jobdir}/lib/toolkit.sh" ] && [ -r "${resource_jobdir}/service/desktop.sh" ]; then
    # shellcheck source=services/_lib/toolkit.sh
    . "${resource_jobdir}/lib/toolkit.sh"
    # shellcheck source=services/turbovnc/desktop.sh
    . "${resource_jobdir}/service/desktop.sh"
    end_desktop 'CONT CONT CONT'
fi
