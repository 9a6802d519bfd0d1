#!/usr/bin/env bash
# Find a JupyterLab >= 4, or install one; leave the path of its jupyter-lab in ${resource_jobdir}/service/jupyter-lab.path.

# shellcheck source=services/_lib/toolkit.sh
. "${resource_jobdir:?}/lib/toolkit.sh"
# shellcheck source=services/_lib/conda.sh
. "$resource_jobdir/lib/conda.sh"
# shellcheck source=services/_lib/jupyter.sh
. "$resource_jobdir/lib/jupyter.sh"

remedy="set service_jupyter to a jupyter-lab of your own, or PIP_INDEX_URL to an index that can be reached"

why_conda_failed() {
    grep -E '[Ee]rror' "$1" | tail -n 1 | sed -e 's/[.: ]*$//' | grep . || printf 'conda gave no reason'
}

# For make_once, whose folder only remembers that it was done.
update_conda() {
    mkdir "$1" && printf '%b\n' "${advanced_options_yaml:-}" >"$1/environment.yaml" &&
        conda env update --quiet --prefix "$CONDA_PREFIX" --file "$1/environment.yaml"
}

# What the form's "additional packages" asks for, put into the conda environment that is active.
install_from_yaml() {
    [ -n "${advanced_options_yaml:-}" ] ||
        fail "advanced_options_install_instructions is yaml, but advanced_options_yaml is empty: fill it in, or choose none"
    if [ -z "${CONDA_PREFIX:-}" ] || ! type conda >/dev/null 2>&1; then
        fail "a conda environment definition needs conda: set service_conda_sh to the etc/profile.d/conda.sh of one that exists"
    fi
    envs_folder "the conda environment"
    # shellcheck disable=SC2154 # set by envs_folder
    done=$envs/conda-$(printf '%s\n' "$CONDA_PREFIX" "$advanced_options_yaml" | sha256sum | cut -c1-12)
    make_once "$done" "the conda environment" "correct advanced_options_yaml" why_conda_failed update_conda "$done"
}

has_dask() {
    "$(dirname "$1")/python" -c 'import dask_labextension, distributed' 2>/dev/null
}

jupyter=''
enter_what_was_named
case ${advanced_options_install_instructions:-none} in
    none) ;;
    dask)
        if ! { own_jupyter jupyter-lab 4 JupyterLab && has_dask "$jupyter"; }; then
            [ -z "${service_jupyter:-}" ] ||
                fail "$jupyter (service_jupyter) has no dask-labextension and distributed: install them there, or leave it empty"
            ensure_venv jupyterlab-dask "JupyterLab with Dask" "$remedy" \
                no_more 'jupyterlab>=4.2,<5' 'dask-labextension>=7' 'distributed'
            # shellcheck disable=SC2154 # set by ensure_venv
            jupyter=$venv/bin/jupyter-lab
        fi
        ;;
    yaml) install_from_yaml ;;
    *) fail "advanced_options_install_instructions is none, dask or yaml, not $advanced_options_install_instructions" ;;
esac
if [ -z "$jupyter" ] && ! own_jupyter jupyter-lab 4 JupyterLab; then
    ensure_venv jupyterlab JupyterLab "$remedy" no_more 'jupyterlab>=4.2,<5'
    jupyter=$venv/bin/jupyter-lab
fi
leave "$jupyter" "$resource_jobdir/service/jupyter-lab.path"
