# shellcheck shell=bash disable=SC2154
# Jupyter in a container, all of it below /me/${openPort}/: by docker or podman at a port of its own, published as
# ${SESSIOND_BIND}:${servicePort}; by ch-run on ${SESSIOND_LISTEN_SOCKET}, else on that port itself.

# shellcheck source=services/_lib/toolkit.sh
. "${resource_jobdir}/lib/toolkit.sh"
# shellcheck source=services/_lib/containers.sh
. "${resource_jobdir}/lib/containers.sh"
# shellcheck source=services/_lib/container_run.sh
. "${resource_jobdir}/lib/container_run.sh"

if ! { container_choose "${service_docker_repo}" && container_fetch && container_mounts "${service_mount_directories}" && container_home; }; then
    displayErrorMessage "${container_problem}"
fi
container_gpus "${service_use_gpus}"
container_as_user

container_set CONTAINER_BASE "/me/${openPort}/"
container_set CONTAINER_FOLDER "${service_notebook_dir}"
container_set JUPYTER_TOKEN "${service_token}"
container_secret "${service_token}"
if [ "${container_kind}" != ch-run ]; then
    # A port, and no socket: older images cannot listen on one, and the user's own daemon may give it to somebody else.
    container_publish 8888
    container_set CONTAINER_ADDRESS 0.0.0.0
    container_set CONTAINER_PORT 8888
else
    if ! container_share; then displayErrorMessage "${container_problem}"; fi
    container_set CONTAINER_PRIVATE "${container_shared}/jupyter"
    if sessiond_listen_socket; then
        container_set CONTAINER_SOCKET "${container_shared}/${SESSIOND_LISTEN_SOCKET##*/}"
    else
        container_set CONTAINER_ADDRESS "${SESSIOND_BIND}"
        container_set CONTAINER_PORT "${servicePort}"
    fi
fi

# shellcheck disable=SC2086 # may be empty, or a command and its options
${sshusercontainer} "${pw_job_dir}/utils/notify.sh"

container_serve sh -c "$(cat "${resource_jobdir}/lib/container_jupyter.sh")"
container_status=$?
if [ "${container_status}" -ne 0 ]; then
    displayErrorMessage "${container_problem:-The container of ${container_image} ended with status ${container_status}: the log says why}"
fi
