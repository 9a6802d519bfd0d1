# shellcheck shell=bash disable=SC2154
# End the session's own container, and nothing else.

if [ -r "${resource_jobdir}/lib/container_run.sh" ]; then
    # shellcheck source=services/_lib/toolkit.sh
    . "${resource_jobdir}/lib/toolkit.sh"
    # shellcheck source=services/_lib/container_run.sh
    . "${resource_jobdir}/lib/container_run.sh"
    container_end
fi
