#!/usr/bin/env bash
# Find a Python with Streamlit >= 1.53, or install one; leave its path in ${resource_jobdir}/service/python.path.

# shellcheck source=services/_lib/toolkit.sh
. "${resource_jobdir:?}/lib/toolkit.sh"
# shellcheck source=services/_lib/conda.sh
. "$resource_jobdir/lib/conda.sh"

# The first versions that can be asked for a secret: those whose app can be put behind another, see server.py.
can_serve() {
    "$1" -c 'from streamlit.starlette import App; import starlette, uvicorn, websockets' 2>/dev/null
}

# Set `python` to the one that the person's own streamlit runs with.
own_python() {
    local program
    program=$(type -P streamlit) || return 1
    for python in "$(sed -n '1s/^#! *//p;q' "$program" 2>/dev/null)" "${program%/*}/python3"; do
        if type -P "$python" >/dev/null && can_serve "$python"; then
            echo "using $program"
            return 0
        fi
    done
    echo "$program is not used: it is older than 1.53, or without uvicorn (pip install -U 'streamlit[starlette]')"
    return 1
}

enter_what_was_named
if ! own_python; then
    venv_python=10
    ensure_venv streamlit Streamlit \
        "load a Streamlit 1.53 or newer with service_load_env, or set PIP_INDEX_URL to an index that can be reached" \
        no_more 'streamlit[starlette]>=1.54,<2'
    # shellcheck disable=SC2154 # set by ensure_venv
    python=$venv/bin/python
fi
leave "$python" "$resource_jobdir/service/python.path"
