# shellcheck shell=bash disable=SC2154
# Jupyter in an image of Apptainer, all of it below /me/${openPort}/, on ${SESSIOND_LISTEN_SOCKET}, else on
# ${SESSIOND_BIND}:${servicePort}.

# shellcheck source=services/_lib/toolkit.sh
. "${resource_jobdir}/lib/toolkit.sh"
# shellcheck source=services/_lib/containers.sh
. "${resource_jobdir}/lib/containers.sh"
# shellcheck source=services/_lib/container_run.sh
. "${resource_jobdir}/lib/container_run.sh"

image=$(cat "${resource_jobdir}/service/image.path" 2>/dev/null || printf '%s' "${service_path_to_sing}")
if ! { container_choose_sif "${image}" && container_mounts "${service_mount_dirs}" && container_usual_mounts &&
    container_home && container_share; }; then
    displayErrorMessage "${container_problem}"
fi
container_gpus "${service_use_gpus}"

# The form in which Jupyter keeps a password.
jupyter_password() {
    local salt
    salt=$(od -A n -t x1 -N 8 /dev/urandom | tr -d ' \n')
    printf 'sha256:%s:%s' "${salt}" "$(printf '%s%s' "$1" "${salt}" | sha256sum | cut -d ' ' -f 1)"
}

container_set CONTAINER_BASE "/me/${openPort}/"
container_set CONTAINER_FOLDER "${service_notebook_dir}"
container_set CONTAINER_PRIVATE "${container_shared}/jupyter"
container_set JUPYTER_TOKEN "${service_token}"
container_secret "${service_token}"
if [ -n "${service_password}" ]; then container_set CONTAINER_PASSWORD "$(jupyter_password "${service_password}")"; fi
if sessiond_listen_socket; then
    container_set CONTAINER_SOCKET "${container_shared}/${SESSIOND_LISTEN_SOCKET##*/}"
else
    container_set CONTAINER_ADDRESS "${SESSIOND_BIND}"
    container_set CONTAINER_PORT "${servicePort}"
fi

# shellcheck disable=SC2086 # may be empty, or a command and its options
${sshusercontainer} "${pw_job_dir}/utils/notify.sh"

container_serve sh -c "$(cat "${resource_jobdir}/lib/container_jupyter.sh")"
container_status=$?
if [ "${container_status}" -ne 0 ]; then
    displayErrorMessage "${container_problem:-The container of ${container_image} ended with status ${container_status}: the log says why}"
fi
