#!/usr/bin/env bash
# Find a JupyterLab >= 4, or install one; leave the path of its jupyter-lab in ${resource_jobdir}/service/jupyter-lab.path.

# shellcheck source=services/_lib/toolkit.sh
. "${resource_jobdir:?}/lib/toolkit.sh"

# major_of JUPYTER_LAB: the major version it reports, 0 if it does not run.
major_of() {
    local version
    version=$(timeout 60 "$1" --version 2>/dev/null | tail -n 1)
    version=${version%%.*}
    case $version in
        '' | *[!0-9]*) echo 0 ;;
        *) echo "$version" ;;
    esac
}

if [ -n "${service_load_env:-}" ]; then
    # By the contract of service folders this parameter is shell code of the user's own.
    eval "$service_load_env"
fi

jupyter_lab=${service_jupyter:-}
if [ -n "$jupyter_lab" ]; then
    case $jupyter_lab in \~/*) jupyter_lab=$HOME/${jupyter_lab#'~/'} ;; esac
    [ "$(major_of "$jupyter_lab")" -ge 4 ] ||
        fail "$jupyter_lab (service_jupyter) is not a JupyterLab 4 or newer that runs: correct it, or leave it empty"
elif jupyter_lab=$(type -P jupyter-lab) && [ "$(major_of "$jupyter_lab")" -ge 4 ]; then
    echo "using $jupyter_lab"
else
    ensure_venv jupyterlab JupyterLab \
        "set service_jupyter to a jupyter-lab of your own, or PIP_INDEX_URL to an index that can be reached" \
        no_more 'jupyterlab>=4.2,<5'
    # shellcheck disable=SC2154 # set by ensure_venv
    jupyter_lab=$venv/bin/jupyter-lab
fi

if ! { printf '%s\n' "$jupyter_lab" >"$resource_jobdir/service/jupyter-lab.path.new" &&
    mv "$resource_jobdir/service/jupyter-lab.path.new" "$resource_jobdir/service/jupyter-lab.path"; }; then
    fail "nothing can be written to $resource_jobdir: is the disk full?"
fi
