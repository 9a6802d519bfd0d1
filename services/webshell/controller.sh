#!/usr/bin/env bash
# Make the environment of server.py; leave its path in ${resource_jobdir}/service/webshell.path. Where ttyd is on PATH it
# can be done without.

# shellcheck source=services/_lib/toolkit.sh
. "${resource_jobdir:?}/lib/toolkit.sh"

# NiceGUI is a Python package that carries xterm.js with its add-ons as one module, built and kept current. Only those
# files of it are wanted: its dependencies are left out, and so is the Python version its own code asks for.
add_xterm() {
    local extracted=$1/.tmp/nicegui
    run_pip "$1" --no-deps --ignore-requires-python --target "$extracted" 'nicegui>=3.18,<4' &&
        mkdir "$1/static" &&
        mv "$extracted"/nicegui/elements/xterm/dist/{index.js,xterm.css} "$1/static/" &&
        grep -q 'as FitAddon' "$1/static/index.js"
}

make_environment() {
    ensure_venv webshell "the web shell" "set PIP_INDEX_URL to an index that can be reached" \
        add_xterm 'terminado>=0.18,<1' 'tornado>=6.4,<7'
}

if [ "${service_ttyd:-}" != false ] && type -P ttyd >/dev/null && ! (make_environment); then
    echo "there is nothing but ttyd to serve the web shell with"
    exit 0
fi
make_environment

# shellcheck disable=SC2154 # set by ensure_venv
leave "$venv" "$resource_jobdir/service/webshell.path"
