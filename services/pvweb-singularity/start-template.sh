# shellcheck shell=bash disable=SC2154
# The ParaViewWeb Visualizer in an image of Apptainer on ${SESSIOND_BIND}:${servicePort}.

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

cp "${resource_jobdir}/service/visualizer.py" "$(sessiond_socket_folder)/visualizer.py" ||
    displayErrorMessage "Nothing can be written to ${container_shared}: is the disk full?"
container_set CONTAINER_PRIVATE "${container_shared}"
container_set CONTAINER_FOLDER "${service_data_dir}"
container_set CONTAINER_SECRET "${service_token}"
container_secret "${service_token}"

# shellcheck disable=SC2086 # may be empty, or a command and its options
${sshusercontainer} "${pw_job_dir}/utils/notify.sh"

container_serve sh -c "$(cat "${resource_jobdir}/service/inside.sh")" visualizer \
    --host "${SESSIOND_BIND}" --port "${servicePort}" --timeout 31536000 \
    --viewport-max-width "${service_viewport_max_width}" --viewport-max-height "${service_viewport_max_height}"
container_status=$?
if [ "${container_status}" -ne 0 ]; then
    displayErrorMessage "${container_problem:-The container of ${container_image} ended with status ${container_status}: the log says why}"
fi
