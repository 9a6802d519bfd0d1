#!/usr/bin/env bash
# Have the image here, if the container will run here too. On a node, docker and podman have their own; it pulls itself.

# shellcheck source=services/_lib/toolkit.sh
. "${resource_jobdir:?}/lib/toolkit.sh"
# shellcheck source=services/_lib/containers.sh
. "$resource_jobdir/lib/containers.sh"

if [ "${jobschedulertype:-}" = CONTROLLER ]; then
    # By the contract of service folders this parameter is shell code of the user's own.
    if [ -n "${service_load_env:-}" ]; then eval "$service_load_env"; fi
    if ! { container_choose "${service_docker_repo:-}" && container_fetch; }; then fail "$container_problem"; fi
fi
