#!/usr/bin/env bash
# Make the environment of server.py and find noVNC, or install it; leave the paths of both in ${resource_jobdir}/service/.

# shellcheck source=services/_lib/toolkit.sh
. "${resource_jobdir:?}/lib/toolkit.sh"

remedy="set PIP_INDEX_URL to an index that can be reached"

# The package holds noVNC in an archive. pip takes no other file for it than the one whose hash is known.
add_novnc() {
    local extracted=$1/.tmp/novnc
    run_pip "$1" --no-deps --require-hashes --target "$extracted" --requirement "$resource_jobdir/service/novnc.txt" &&
        "$1/bin/python" -m zipfile -e "$extracted/novnc/resources/novnc_server.zip" "$1/novnc" &&
        [ -e "$1/novnc/vnc.html" ]
}

novnc=''
if [ "${service_novnc_dir:-}" != install ]; then
    for folder in "${service_novnc_dir:-}" "${novnc_dir:-}" /usr/share/novnc; do
        case $folder in \~/*) folder=$HOME/${folder#'~/'} ;; esac
        if [ -e "$folder/vnc.html" ]; then
            novnc=$folder
            echo "using the noVNC in $novnc"
            break
        fi
        if [ -n "$folder" ] && [ "$folder" = "${service_novnc_dir:-}" ]; then
            fail "$folder (service_novnc_dir) holds no vnc.html: correct it, or leave it empty"
        fi
    done
fi

if [ -n "$novnc" ]; then
    ensure_venv turbovnc "noVNC's server" "$remedy" no_more 'tornado>=6.4,<7'
else
    ensure_venv turbovnc-novnc1.6 noVNC "$remedy, or service_novnc_dir to a folder with noVNC" \
        add_novnc 'tornado>=6.4,<7'
    # shellcheck disable=SC2154 # set by ensure_venv
    novnc=$venv/novnc
fi

# keep NAME TEXT: write a file of the session's folder whole.
keep() {
    if ! { printf '%s\n' "$2" >"$resource_jobdir/service/$1.new" &&
        mv "$resource_jobdir/service/$1.new" "$resource_jobdir/service/$1"; }; then
        fail "nothing can be written to $resource_jobdir: is the disk full?"
    fi
}
keep turbovnc.path "$venv"
keep novnc.path "$novnc"
