#!/usr/bin/env bash
# Make the environment of matlab-proxy; leave the path of its Python in ${resource_jobdir}/service/python.path.

# shellcheck source=services/_lib/toolkit.sh
. "${resource_jobdir:?}/lib/toolkit.sh"

venv_python=10
ensure_venv matlab-proxy matlab-proxy "set PIP_INDEX_URL to an index that can be reached" \
    no_more 'matlab-proxy>=0.34,<1'
# shellcheck disable=SC2154 # set by ensure_venv
leave "$venv/bin/python" "$resource_jobdir/service/python.path"
