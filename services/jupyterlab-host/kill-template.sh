# shellcheck shell=bash disable=SC2154
# End JupyterLab and all that was started from it: it has some seconds to stop its kernels itself.

if [ -r "${resource_jobdir}/lib/toolkit.sh" ]; then
    # shellcheck source=services/_lib/toolkit.sh
    . "${resource_jobdir}/lib/toolkit.sh"
    end_marked "JUPYTER_RUNTIME_DIR=${resource_jobdir}/jupyter-runtime" TERM CONT CONT CONT HUP KILL
    rm -rf "${resource_jobdir}/jupyter-runtime"
fi
