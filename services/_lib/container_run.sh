# shellcheck shell=bash disable=SC2154,SC2034 # of the session, and of lib/containers.sh
# How the container that lib/containers.sh has prepared is run in the foreground and ended, with nothing left of it.
# It needs lib/toolkit.sh; kill-template.sh needs `container_end` alone.
#
# docker and podman run containers that are not processes of the session: what ends those of a session does not reach
# them. They are found by a label that holds the session's folder, which is one of a kind, and by nothing else.

# container_line WORD...: set `container_words` to the command line that runs WORD... in it. No secret is in it.
container_line() {
    container_words=("${container_cli[@]}")
    case $container_kind in
        docker | podman)
            # Its variables come on standard input: a command line is for everybody to read, sudo passes no variables on,
            # and root may not be able to read a file in a home folder of another machine.
            container_words+=(run --rm --name "$SESSIOND_TAG" --label "sessiond.session=$resource_jobdir" --env-file /dev/stdin)
            # With SELinux, what is mounted would have to be labelled anew, home folders too.
            if [ -e /sys/fs/selinux/enforce ] && [ "${#container_binds[@]}" -gt 0 ]; then
                container_words+=(--security-opt label=disable)
            fi
            ;;
        ch-run)
            # The variables of the image, where the tools of Charliecloud have unpacked it.
            if [ -e "$container_image/ch/environment" ]; then container_words+=(--set-env); fi
            ;;
        *) container_words+=(exec) ;;
    esac
    container_words+=("${container_options[@]}" "${container_binds[@]}" "$container_image")
    if [ "$container_kind" = ch-run ]; then container_words+=(--); fi
    container_words+=("$@")
}

# container_serve WORD...: run WORD... in the container until it ends or the session is told to; return its status.
# Without WORD the image's own command is run, which ch-run and apptainer do not know.
container_serve() {
    local container_words name
    for name in "${!container_environment[@]}"; do
        if [[ ${container_environment[$name]} = *$'\n'* ]]; then
            container_problem="$name holds more than one line, which no container can be given"
            return 125
        fi
    done
    container_line "$@"
    case $container_kind in
        docker | podman) container_watch container_attend ;;
        *) container_watch container_become ;;
    esac
}

# container_serve_own FUNCTION: the same with a FUNCTION that runs a container in its own way.
container_serve_own() {
    local container_words=("$1")
    container_watch container_attend
}

container_watch() {
    local container_log container_quiet
    # ch-run 0.31 does not run without it.
    export USER="${USER:-$(id -un)}"
    exec {container_log}> >(container_hush)
    container_quiet=$!
    # What an earlier run of this session left that nobody could end.
    container_remove
    case $container_kind in docker | podman) printf '%s\n' "${container_cli[*]}" >"$resource_jobdir/container" ;; esac
    serve "$1" container_close
}

# The log, without secrets: some programs print their own address with them.
container_hush() {
    local line secret
    # What is printed while it ends is part of the log.
    trap '' TERM
    while IFS= read -r line || [ -n "$line" ]; do
        for secret in "${container_hidden[@]}"; do line=${line//"$secret"/...}; done
        printf '%s\n' "$line"
    done
}

container_variables() {
    local name
    for name in "${!container_environment[@]}"; do printf '%s=%s\n' "$name" "${container_environment[$name]}"; done
}

# Run it by a client of docker or podman. The end is for the container, which is not a child of anything here.
container_attend() {
    { set +x; } 2>/dev/null
    local client='' status told=''
    export SESSIOND_CONTAINER="$resource_jobdir"
    trap 'told=yes; container_stop 1; kill -s TERM "${client:-}" 2>/dev/null' TERM
    "${container_words[@]}" < <(container_variables) >&"$container_log" 2>&1 {container_log}>&- &
    client=$!
    if [ -n "$told" ]; then kill -s TERM "$client" 2>/dev/null; fi
    wait "$client"
    status=$?
    while kill -0 "$client" 2>/dev/null; do
        wait "$client"
        status=$?
    done
    return "$status"
}

# Become it, by ch-run or apptainer: then its processes are the session's own, and bear a mark.
container_become() {
    { set +x; } 2>/dev/null
    local name program
    program=$(type -P "${container_words[0]}")
    export SESSIOND_CONTAINER="$resource_jobdir"
    # What the host's programs need breaks those of the image.
    unset PYTHONHOME PYTHONPATH LD_LIBRARY_PATH LD_PRELOAD service_token service_password
    if [ "$container_kind" = ch-run ]; then
        export PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
        # ch-run 0.31 has the folder that this names as /tmp, and the session's private one would not be in it.
        unset TMPDIR
    fi
    for name in "${!container_environment[@]}"; do export "$name=${container_environment[$name]}"; done
    exec "$program" "${container_words[@]:1}" >&"$container_log" 2>&1 {container_log}>&-
}

# container_engine ARGUMENT...: docker or podman, as the session has used it.
container_engine() {
    local words
    read -r -a words 2>/dev/null <"$resource_jobdir/container" || return 1
    case ${words[*]} in
        docker | podman | 'sudo -n docker') timeout 60 "${words[@]}" "$@" ;;
        *) return 1 ;;
    esac
}

# The session's own containers, running or not.
container_list() { container_engine ps --all --quiet --no-trunc --filter "label=sessiond.session=$resource_jobdir"; }

# container_stop SECONDS: tell the session's containers to end, and end them after SECONDS.
container_stop() {
    local found ids
    found=$(container_list 2>/dev/null)
    [ -n "$found" ] || return 0
    mapfile -t ids <<<"$found"
    container_engine stop -t "$1" "${ids[@]}" >/dev/null 2>&1
}

# Nothing of the session's containers is left; fails where that cannot be known.
container_remove() {
    local found ids
    [ -e "$resource_jobdir/container" ] || return 0
    found=$(container_list 2>/dev/null) || return 1
    if [ -n "$found" ]; then
        mapfile -t ids <<<"$found"
        container_engine rm --force --volumes "${ids[@]}" >/dev/null 2>&1 || return 1
    fi
    rm -f "$resource_jobdir/container"
}

# After its end, which TERM may have brought: little time is left. A client first: it might be about to start one.
container_close() {
    end_marked "SESSIOND_CONTAINER=$resource_jobdir" HUP TERM KILL
    container_remove
    exec {container_log}>&-
    wait "$container_quiet" 2>/dev/null
}

# For kill-template.sh: end whatever runs of the session's containers; they have some seconds to end by themselves.
container_end() {
    container_stop 5
    end_marked "SESSIOND_CONTAINER=$resource_jobdir" TERM CONT CONT CONT HUP KILL
    if ! container_remove; then
        echo "the container $SESSIOND_TAG may still be there: $(cat "$resource_jobdir/container") did not say that it is gone"
        return 1
    fi
}
