# shellcheck shell=bash disable=SC2154
# A web server in a container: by docker or podman at its own port, published as ${SESSIOND_BIND}:${servicePort}; by
# ch-run on ${SESSIOND_LISTEN_SOCKET}, else on that port itself.

# shellcheck source=services/_lib/toolkit.sh
. "${resource_jobdir}/lib/toolkit.sh"
# shellcheck source=services/_lib/containers.sh
. "${resource_jobdir}/lib/containers.sh"
# shellcheck source=services/_lib/container_run.sh
. "${resource_jobdir}/lib/container_run.sh"

if ! { container_choose "${service_docker_repo}" && container_fetch && container_mounts "${service_mount_directories}"; }; then
    displayErrorMessage "${container_problem}"
fi

# ch-run does not know an image's own command. nginx is then told all that it takes from files it could not write: the
# image is read-only, and its port is root's alone.
serve_pages() {
    local folder=${container_shared} listen="${SESSIOND_BIND}:${servicePort}"
    if sessiond_listen_socket; then listen="unix:${folder}/${SESSIOND_LISTEN_SOCKET##*/}"; fi
    # As root nginx would become somebody else, and in the user namespace of one user there is nobody.
    if [ "$(id -u)" -eq 0 ]; then container_options+=(--uid 65534 --gid 65534); fi
    cat >"$(sessiond_socket_folder)/nginx.conf" <<END
daemon off;
worker_processes 1;
pid ${folder}/nginx.pid;
error_log stderr;
events { }
http {
    include /etc/nginx/mime.types;
    access_log off;
    absolute_redirect off;
    client_body_temp_path ${folder}/body;
    proxy_temp_path ${folder}/proxy;
    fastcgi_temp_path ${folder}/fastcgi;
    uwsgi_temp_path ${folder}/uwsgi;
    scgi_temp_path ${folder}/scgi;
    server {
        listen ${listen};
        root /usr/share/nginx/html;
        # The browser is behind a prefix that nginx is not told of.
        if (-d \$request_filename) { rewrite ^(.*[^/])\$ ${sessiond_base}\$1/ redirect; }
    }
}
END
    nginx_words=(nginx -c "${folder}/nginx.conf")
}

nginx_words=()
if [ "${container_kind}" = ch-run ]; then
    container_set PORT "${servicePort}"
    container_set SESSIOND_BIND "${SESSIOND_BIND}"
    if [ -z "${service_container_cmd}" ]; then
        if ! container_share; then displayErrorMessage "${container_problem}"; fi
        serve_pages
    fi
else
    container_set PORT "${service_container_port}"
    container_set SESSIOND_BIND 0.0.0.0
    container_publish "${service_container_port}"
fi
if [ -n "${service_container_cmd}" ]; then nginx_words=(sh -c "${service_container_cmd}"); fi

# shellcheck disable=SC2086 # may be empty, or a command and its options
${sshusercontainer} "${pw_job_dir}/utils/notify.sh"

container_serve "${nginx_words[@]}"
container_status=$?
if [ "${container_status}" -ne 0 ]; then
    displayErrorMessage "${container_problem:-The container of ${container_image} ended with status ${container_status}: the log says why}"
fi
