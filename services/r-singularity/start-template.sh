# shellcheck shell=bash disable=SC2154
# RStudio Server (1.4 or newer) in an image of Apptainer on ${SESSIOND_BIND}:${servicePort}, for the session's user alone.

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

# Whoever reaches the port has to know the password. RStudio asks a program of ours, which knows it from a file.
rstudio=$(sessiond_socket_folder)/rstudio
rstudio_inside=${container_shared}/rstudio
rstudio_user=$(id -un)
(
    umask 077
    mkdir -p "${rstudio}/run" "${rstudio}/lib"
    printf '%s\n' "${service_password:-${service_token}}" >"${rstudio}/password"
    od -A n -t x1 -N 32 /dev/urandom | tr -d ' \n' >"${rstudio}/cookie-key"
    printf 'provider=sqlite\ndirectory=%s\n' "${rstudio_inside}/lib" >"${rstudio}/database.conf"
    # A session is ended by sessiond, not by RStudio because nobody was there for two hours.
    echo 'session-timeout-minutes=0' >"${rstudio}/rsession.conf"
    cp "${resource_jobdir}/service/pam-helper" "${rstudio}/pam-helper"
    chmod 700 "${rstudio}/pam-helper"
    name=${rstudio_user//\\/\\\\}
    while IFS= read -r line; do printf '%s\n' "${line//__user__/"${name}"}"; done \
        <"${resource_jobdir}/service/sign-in.html" >"${rstudio}/sign-in.html"
) || displayErrorMessage "Nothing can be written to ${rstudio}: is the disk full?"
container_secret "${service_token}"
container_secret "${service_password}"

rstudio_options=(
    --server-daemonize=0 --server-user="${rstudio_user}"
    --server-pid-file="${rstudio_inside}/rserver.pid" --server-data-dir="${rstudio_inside}/run"
    --database-config-file="${rstudio_inside}/database.conf" --secure-cookie-key-file="${rstudio_inside}/cookie-key"
    --rsession-config-file="${rstudio_inside}/rsession.conf"
    --www-address="${SESSIOND_BIND}" --www-port="${servicePort}" --www-root-path="${sessiond_base}"
    --www-frame-origin=same
    # Where it does not run as root, RStudio would let everybody in.
    --auth-none=0 --auth-pam-helper-path="${rstudio_inside}/pam-helper"
    --auth-login-page-html="${rstudio_inside}/sign-in.html"
    --auth-timeout-minutes=0 --auth-stay-signed-in-days=30
)

# shellcheck disable=SC2016 # the container's own sh expands it
find_rserver='PATH=$PATH:/usr/lib/rstudio-server/bin
command -v rserver >/dev/null || { echo "There is no RStudio Server in the container: choose an image that has one" >&2; exit 1; }
exec rserver "$@"'

# shellcheck disable=SC2086 # may be empty, or a command and its options
${sshusercontainer} "${pw_job_dir}/utils/notify.sh"

container_serve sh -c "${find_rserver}" rserver "${rstudio_options[@]}"
container_status=$?
if [ "${container_status}" -ne 0 ]; then
    displayErrorMessage "${container_problem:-The container of ${container_image} ended with status ${container_status}: the log says why}"
fi
