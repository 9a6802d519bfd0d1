# shellcheck shell=bash
# What the scripts of a service folder share: an environment of its own, and an end that leaves nothing running.
# It lies at lib/toolkit.sh of every session's folder; a folder that uses it sources it from there.

# Say one sentence as the last line of the log and give up.
fail() {
    printf '%s\n' "$1" >&2
    exit 1
}

# home_path PATH: the path with a leading ~ written out, as no shell will see it.
home_path() {
    case $1 in
        '~') printf '%s\n' "$HOME" ;;
        \~/*) printf '%s\n' "$HOME/${1#'~/'}" ;;
        *) printf '%s\n' "$1" ;;
    esac
}

# leave PATH_OF_PROGRAM FILE: write the path into a file of the session's folder, whole or not at all.
leave() {
    if ! { printf '%s\n' "$1" >"$2.new" && mv "$2.new" "$2"; }; then
        fail "nothing can be written to ${2%/*}: is the disk full?"
    fi
}

# find_python MINOR MODULE...: print the first Python >= 3.MINOR that has the modules; fail without a word if there is none.
find_python() {
    local candidate minor=$1
    shift
    for candidate in python3 python3.14 python3.13 python3.12 python3.11 python3.10 python3.9 python3.8 python3.7; do
        if "$candidate" -c "import sys, importlib; [importlib.import_module(name) for name in sys.argv[1:]]; \
sys.exit(sys.version_info < (3, $minor))" "$@" 2>/dev/null; then
            type -P "$candidate"
            return 0
        fi
    done
    return 1
}

# why_pip_failed LOG: the reason in a few words.
why_pip_failed() {
    if grep -qE 'from versions: none|NewConnectionError|Connection refused|Name or service not known|Temporary failure in name resolution|ProxyError|SSLError|ConnectTimeout|ReadTimeout|Network is unreachable' "$1"; then
        printf 'pip got nothing from its package index'
    else
        grep -E '^ERROR: ' "$1" | tail -n 1 | sed -e 's/^ERROR: //' -e 's/[.: ]*$//' | grep . || printf 'pip gave no reason'
    fi
}

# run_pip VENV PIP_ARGUMENT...: the user's own index and proxy settings hold; settings that would install somewhere
# else than into VENV do not.
run_pip() {
    local venv=$1
    shift
    env -u PYTHONHOME -u PYTHONPATH -u PIP_TARGET -u PIP_PREFIX PIP_USER=0 TMPDIR="$venv/.tmp" \
        "$venv/bin/python" -m pip --no-input --disable-pip-version-check --no-color \
        install --quiet --progress-bar off --prefer-binary "$@"
}

# no_more: the `build` of an environment that needs nothing beyond its requirements.
no_more() { :; }

# envs_folder TITLE: make the folder of all environments and set `envs` to its path.
envs_folder() {
    envs=${SESSIOND_ENVS:-${XDG_DATA_HOME:-$HOME/.local/share}/sessiond/envs}
    mkdir -p "$envs" || fail "$1 could not be installed: $envs cannot be made; set SESSIOND_ENVS to a folder with 300 MB of room"
}

# make_once FOLDER TITLE REMEDY WHY BUILD...
#
# Have BUILD make FOLDER, an environment, unless it is there: one session makes it, others wait. It is made where it
# stays, because virtual environments cannot be moved, and does not count before its marker is there: what an
# interrupted installation left is removed by the next one. WHY is a command that tells from the log why BUILD failed;
# REMEDY is what a person can do then.
make_once() {
    local folder=$1 title=$2 remedy=$3 why=$4 log=$1.log lock status
    shift 4
    [ -e "$folder/.complete" ] && return 0
    exec {lock}>"$folder.lock" || fail "$title could not be installed: $folder.lock cannot be written"
    flock -n -E 75 "$lock"
    case $? in
        0) ;;
        75)
            echo "another session is installing $title: waiting for it ..."
            flock -w 780 "$lock" || fail "$title could not be installed: another session has held $folder.lock for 13 minutes"
            ;;
        *) fail "$title could not be installed: files in ${folder%/*} cannot be locked; set SESSIOND_ENVS to a folder elsewhere" ;;
    esac
    if ! [ -e "$folder/.complete" ]; then
        echo "installing $title (the first time takes a minute) ..."
        rm -rf "$folder"
        "$@" >"$log" 2>&1
        status=$?
        rm -rf "$folder/.tmp"
        if [ "$status" -ne 0 ]; then
            rm -rf "$folder"
            tail -n 20 "$log"
            fail "$title could not be installed ($("$why" "$log")): $remedy; the whole story is in $log"
        fi
        rm -f "$log"
        touch "$folder/.complete"
        echo "installed $title"
    fi
    exec {lock}>&-
}

# make_venv VENV PYTHON BUILD REQUIREMENT...: for make_once.
make_venv() {
    local made=$1 python=$2 build=$3
    shift 3
    "$python" -m venv "$made" && mkdir "$made/.tmp" && run_pip "$made" "$@" && "$build" "$made"
}

# ensure_venv NAME TITLE REMEDY BUILD REQUIREMENT...
#
# Set `venv` to the virtual environment NAME that holds the REQUIREMENTs, made first if need be (see make_once), with a
# Python >= 3.${venv_python:-9}. BUILD is called with the environment's path before the environment counts as made.
ensure_venv() {
    local name=$1 title=$2 remedy=$3 build=$4 python identity envs minor=${venv_python:-9}
    shift 4
    python=$(find_python "$minor" venv ensurepip) || fail "$title could not be installed: there is no Python 3.$minor or newer with venv and ensurepip here (on Debian: python3-venv); $remedy"
    envs_folder "$title"
    # One home is often seen by machines with different Pythons and processors: each gets its own environment.
    identity=$("$python" -c 'import platform, sys; print(sys.version, sys.base_prefix, platform.machine())')
    venv=$envs/$name-$(printf '%s\n' "$identity" "$@" | sha256sum | cut -c1-12)
    make_once "$venv" "$title" "$remedy" why_pip_failed make_venv "$venv" "$python" "$build" "$@"
}

# end_marked NAME=VALUE SIGNAL...: send one SIGNAL after the other to this user's processes that were started with
# NAME=VALUE in their environment, until none is left; each has 0.4 s. An environment is inherited by everything a service
# starts, also by what left its process group, and is never that of a stranger who got a dead process's number.
end_marked() {
    local mark=$1 signal files pids tenths
    shift
    for signal in "$@"; do
        # No process substitution, whose grep would outlive its caller by a moment.
        files=$(grep -lzxF -e "$mark" /proc/[0-9]*/environ 2>/dev/null)
        [ -n "$files" ] || return 0
        read -r -d '' -a pids <<<"${files//[!0-9[:space:]]/}"
        kill -s "$signal" "${pids[@]}" 2>/dev/null
        # `kill` succeeds as long as one of them is there.
        for ((tenths = 0; tenths < 4; tenths++)); do
            sleep 0.1
            kill -0 "${pids[@]}" 2>/dev/null || break
        done
    done
}

# serve FUNCTION CLEANUP: run FUNCTION, which execs the server, until it ends; then CLEANUP; return the server's status.
#
# Bash runs no trap while it waits for a command in the foreground, so the server runs in the background and is waited
# for. A TERM to this shell goes to the server first; once the server has ended, the shell gets the TERM again, under
# the trap it had before.
serve() {
    local server status asked='' before
    before=$(trap -p TERM)
    trap 'asked=yes; kill -s TERM "${server:-}" 2>/dev/null' TERM
    # Background commands ignore INT and QUIT: a kernel could not be interrupted, a shell would know no Ctrl-C.
    (trap - INT QUIT TERM && "$1") &
    server=$!
    if [ -n "$asked" ]; then kill -s TERM "$server" 2>/dev/null; fi
    wait "$server"
    status=$?
    while kill -0 "$server" 2>/dev/null; do
        wait "$server"
        status=$?
    done
    "$2"
    eval "${before:-trap - TERM}"
    if [ -n "$asked" ]; then kill -s TERM "$$"; fi
    return "$status"
}
