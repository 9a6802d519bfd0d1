#!/usr/bin/env bash
# Find a Jupyter Notebook >= 7, or install one; leave the path of its jupyter-notebook in
# ${resource_jobdir}/service/jupyter-notebook.path.

# shellcheck source=services/_lib/toolkit.sh
. "${resource_jobdir:?}/lib/toolkit.sh"
# shellcheck source=services/_lib/conda.sh
. "$resource_jobdir/lib/conda.sh"
# shellcheck source=services/_lib/jupyter.sh
. "$resource_jobdir/lib/jupyter.sh"

enter_what_was_named
if ! own_jupyter jupyter-notebook 7 "Jupyter Notebook"; then
    ensure_venv notebook "Jupyter Notebook" \
        "set service_jupyter to a jupyter-notebook of your own, or PIP_INDEX_URL to an index that can be reached" \
        no_more 'notebook>=7.2,<8'
    # shellcheck disable=SC2154 # set by ensure_venv
    jupyter=$venv/bin/jupyter-notebook
fi
# shellcheck disable=SC2154 # set by own_jupyter or here
leave "$jupyter" "$resource_jobdir/service/jupyter-notebook.path"
