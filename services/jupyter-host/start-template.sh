# shellcheck shell=bash disable=SC2154
# Jupyter Notebook on ${SESSIOND_LISTEN_SOCKET}, else on ${SESSIOND_BIND}:${servicePort}, all of it below /me/${openPort}/,
# until it ends or is told to.

# shellcheck source=services/_lib/toolkit.sh
. "${resource_jobdir}/lib/toolkit.sh"
# shellcheck source=services/_lib/conda.sh
. "${resource_jobdir}/lib/conda.sh"
# shellcheck source=services/_lib/jupyter.sh
. "${resource_jobdir}/lib/jupyter.sh"

# For kernels. That it cannot be had was said by controller.sh.
enter_conda

serve_jupyter jupyter-notebook "Jupyter Notebook"
