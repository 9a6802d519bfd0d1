# shellcheck shell=bash disable=SC2154
# A command of the user's own, which starts a container that serves at ${SESSIOND_BIND}:${servicePort}, below
# /me/${openPort}/.

# shellcheck source=services/_lib/toolkit.sh
. "${resource_jobdir}/lib/toolkit.sh"
# shellcheck source=services/_lib/containers.sh
. "${resource_jobdir}/lib/containers.sh"
# shellcheck source=services/_lib/container_run.sh
. "${resource_jobdir}/lib/container_run.sh"

# By the contract of service folders this parameter is shell code of the user's own.
own_command=${service_docker_cmd//__docker_port__/${servicePort}}
own_command=${own_command//__base_url__//me/${openPort}/}
own_command=${own_command//__container_name__/${SESSIOND_TAG}}

case " ${own_command} " in
    *[\ \(\;\&]docker\ *) own_kinds=(docker podman) ;;
    *[\ \(\;\&]podman\ *) own_kinds=(podman docker) ;;
    *[\ \(\;\&]ch-run\ *) own_kinds=(ch-run) ;;
    *) displayErrorMessage "service_docker_cmd starts no container: it has to hold docker run, podman run or ch-run" ;;
esac
case ${service_container_runtime} in
    auto | '') ;;
    docker | podman)
        if [ "${own_kinds[0]}" = ch-run ]; then
            displayErrorMessage "service_docker_cmd is for ch-run, and service_container_runtime says ${service_container_runtime}: make them the same"
        fi
        own_kinds=("${service_container_runtime}")
        ;;
    *) own_kinds=("${service_container_runtime}") ;;
esac
if ! container_first "${own_kinds[@]}"; then
    displayErrorMessage "No container can be run on $(hostname): ${container_problem}; start it where one of them works"
fi
container_secret "${service_token}"

# own_engine WORD...: docker, or podman, as the command says it. What it starts is marked as the session's, and its port
# is published where the session is reached, not to everybody.
own_engine() {
    local words=() word before=''
    if [ "$1" = container ]; then shift; fi
    case $1 in
        run | create)
            words=("$1" --label "sessiond.session=${resource_jobdir}")
            shift
            ;;
    esac
    for word in "$@"; do
        case ${before} in -p | --publish) word=${word/#"${servicePort}:"/"${SESSIOND_BIND}:${servicePort}:"} ;; esac
        word=${word/#"--publish=${servicePort}:"/"--publish=${SESSIOND_BIND}:${servicePort}:"}
        word=${word/#"-p${servicePort}:"/"-p${SESSIOND_BIND}:${servicePort}:"}
        words+=("${word}")
        before=${word}
    done
    command "${container_cli[@]}" "${words[@]}"
}

# The command, until it and what it started have ended: docker run -d returns at once.
own_run() {
    # shellcheck disable=SC2329 # the command calls them
    docker() { own_engine "$@"; }
    # shellcheck disable=SC2329
    podman() { own_engine "$@"; }
    # It is used where it is needed and works, whatever the command says.
    # shellcheck disable=SC2329
    sudo() {
        while [ "${1:0:1}" = - ]; do shift; done
        "$@"
    }
    eval "${own_command}" || return
    local found
    mapfile -t found < <(container_list 2>/dev/null)
    if [ "${#found[@]}" -gt 0 ]; then
        command "${container_cli[@]}" logs --follow "${found[0]}"
        return "$(command "${container_cli[@]}" wait "${found[0]}" 2>/dev/null || echo 0)"
    fi
}

# shellcheck disable=SC2086 # may be empty, or a command and its options
${sshusercontainer} "${pw_job_dir}/utils/notify.sh"

container_image=service_docker_cmd
container_serve_own own_run
container_status=$?
if [ "${container_status}" -ne 0 ]; then
    displayErrorMessage "${container_problem:-The container of ${container_image} ended with status ${container_status}: the log says why}"
fi
