# shellcheck shell=bash disable=SC2154
# End Jupyter Notebook and all that was started from it.

if [ -r "${resource_jobdir}/lib/toolkit.sh" ] && [ -r "${resource_jobdir}/lib/jupyter.sh" ]; then
    # shellcheck source=services/_lib/toolkit.sh
    . "${resource_jobdir}/lib/toolkit.sh"
    # shellcheck source=services/_lib/jupyter.sh
    . "${resource_jobdir}/lib/jupyter.sh"
    end_jupyter
fi
