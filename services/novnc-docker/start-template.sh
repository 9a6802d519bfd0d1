# shellcheck shell=bash disable=SC2154
# A desktop in a container: by docker or podman its noVNC, at port 6901 of the container, published as
# ${SESSIOND_BIND}:${servicePort}; by ch-run at that port itself.

# shellcheck source=services/_lib/toolkit.sh
. "${resource_jobdir}/lib/toolkit.sh"
# shellcheck source=services/_lib/containers.sh
. "${resource_jobdir}/lib/containers.sh"
# shellcheck source=services/_lib/container_run.sh
. "${resource_jobdir}/lib/container_run.sh"

if ! { container_choose "${service_docker_repo}" && container_fetch && container_mounts "${service_mount_directories}" &&
    container_usual_mounts; }; then
    displayErrorMessage "${container_problem}"
fi
container_gpus "${service_use_gpus}"

# VNC knows eight characters of a password.
container_set VNC_PW "${service_token:0:8}"
container_secret "${service_token:0:8}"
desktop=()
if [ "${container_kind}" = ch-run ]; then
    if ! vnc_port=$(findAvailablePort); then exit 1; fi
    container_set NO_VNC_PORT "${servicePort}"
    container_set VNC_PORT "${vnc_port}"
    container_home
    desktop=(sh -c "${service_container_cmd:-exec /dockerstartup/startup.sh --wait}")
else
    container_publish 6901
    # Browsers in it need more of it than the usual 64 MB.
    container_options+=(--shm-size 512m)
    if [ -n "${service_container_cmd}" ]; then desktop=(sh -c "${service_container_cmd}"); fi
fi

# shellcheck disable=SC2086 # may be empty, or a command and its options
${sshusercontainer} "${pw_job_dir}/utils/notify.sh"

container_serve "${desktop[@]}"
container_status=$?
if [ "${container_status}" -ne 0 ]; then
    displayErrorMessage "${container_problem:-The container of ${container_image} ended with status ${container_status}: the log says why}"
fi
