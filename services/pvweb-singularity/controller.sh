#!/usr/bin/env bash
# Fetch the image, where it is not a file yet; leave its path in ${resource_jobdir}/service/image.path.

# shellcheck source=services/_lib/toolkit.sh
. "${resource_jobdir:?}/lib/toolkit.sh"
# shellcheck source=services/_lib/containers.sh
. "$resource_jobdir/lib/containers.sh"
# shellcheck source=services/_lib/container_images.sh
. "$resource_jobdir/lib/container_images.sh"

# By the contract of service folders this parameter is shell code of the user's own.
if [ -n "${service_load_env:-}" ]; then eval "$service_load_env"; fi
container_keep_sif "${service_path_to_sing:-}"
