# shellcheck shell=bash disable=SC2154
# MATLAB in a container, all of it below /me/${openPort}/: by docker or podman at port 8888 of the container, published as
# ${SESSIOND_BIND}:${servicePort}; by ch-run at that port itself.

# shellcheck source=services/_lib/toolkit.sh
. "${resource_jobdir}/lib/toolkit.sh"
# shellcheck source=services/_lib/containers.sh
. "${resource_jobdir}/lib/containers.sh"
# shellcheck source=services/_lib/container_run.sh
. "${resource_jobdir}/lib/container_run.sh"

if ! { container_choose "${service_docker_repo}" && container_fetch && container_mounts "${service_mount_directories}" &&
    container_home; }; then
    displayErrorMessage "${container_problem}"
fi
container_gpus "${service_use_gpus}"

container_set MWI_BASE_URL "/me/${openPort}"
container_set MWI_ENABLE_TOKEN_AUTH True
container_set MWI_AUTH_TOKEN "${service_token}"
container_secret "${service_token}"
# Where the licence is: from the cluster's settings, or service_load_env.
for variable in MLM_LICENSE_FILE LM_LICENSE_FILE; do
    if [ -n "${!variable:-}" ]; then container_set "${variable}" "${!variable}"; fi
done

matlab=(-browser)
if [ "${container_kind}" = ch-run ]; then
    container_set MWI_APP_HOST "${SESSIOND_BIND}"
    container_set MWI_APP_PORT "${servicePort}"
    matlab=(sh -c 'exec matlab-proxy-app')
elif [[ "${MLM_LICENSE_FILE:-} ${LM_LICENSE_FILE:-}" = *@localhost* || "${MLM_LICENSE_FILE:-}" = *@127.0.0.1* ]]; then
    # A licence server at the host's own loopback address is not at the container's. On the host's network MATLAB listens
    # itself, and nobody connects to what is another user's.
    container_options+=(--network host --shm-size 512m)
    container_as_user
    container_set MWI_APP_HOST "${SESSIOND_BIND}"
    container_set MWI_APP_PORT "${servicePort}"
else
    container_publish 8888
    container_options+=(--shm-size 512m)
    container_set MWI_APP_HOST 0.0.0.0
    container_set MWI_APP_PORT 8888
fi

# shellcheck disable=SC2086 # may be empty, or a command and its options
${sshusercontainer} "${pw_job_dir}/utils/notify.sh"

container_serve "${matlab[@]}"
container_status=$?
if [ "${container_status}" -ne 0 ]; then
    displayErrorMessage "${container_problem:-The container of ${container_image} ended with status ${container_status}: the log says why}"
fi
