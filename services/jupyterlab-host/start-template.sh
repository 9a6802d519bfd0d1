# shellcheck shell=bash disable=SC2154
# JupyterLab on ${SESSIOND_LISTEN_SOCKET}, else on ${SESSIOND_BIND}:${servicePort}, all of it below /me/${openPort}/,
# until it ends or is told to.

# shellcheck source=services/_lib/toolkit.sh
. "${resource_jobdir}/lib/toolkit.sh"
# shellcheck source=services/_lib/conda.sh
. "${resource_jobdir}/lib/conda.sh"
# shellcheck source=services/_lib/jupyter.sh
. "${resource_jobdir}/lib/jupyter.sh"

# For kernels. That it cannot be had was said by controller.sh.
enter_conda

# Neither news nor updates: compute nodes rarely reach the internet, and nobody asked.
serve_jupyter jupyter-lab JupyterLab --LabApp.news_url=None --LabApp.check_for_updates_class=jupyterlab.NeverCheckForUpdate
