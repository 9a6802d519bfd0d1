# shellcheck shell=bash disable=SC2154 # of lib/containers.sh
# Images of Apptainer that come from a registry: each is fetched once, on the login side, and kept as a file.
# It needs lib/toolkit.sh and lib/containers.sh.

# container_keep_sif IMAGE: leave the path of IMAGE, fetched if need be, in service/image.path of the session's folder.
container_keep_sif() {
    local images kept name lock
    if ! container_choose_sif "$1"; then
        # It may be that apptainer, or the image, is on nodes alone: they will say so if it is not.
        case $container_image in
            /*) if [ "${jobschedulertype:-}" != CONTROLLER ]; then return 0; fi ;;
        esac
        fail "$container_problem"
    fi
    kept=$container_image
    case $container_image in
        *://*)
            images=${SESSIOND_ENVS:-${XDG_DATA_HOME:-$HOME/.local/share}/sessiond/envs}/images
            mkdir -p "$images" || fail "$container_image cannot be kept: $images cannot be made; set SESSIOND_ENVS to a folder with room"
            name=${container_image##*/}
            kept=$images/${name//[^A-Za-z0-9._-]/_}-$(printf '%s' "$container_image" | sha256sum | cut -c 1-12).sif
            exec {lock}>"$kept.lock" || fail "$container_image cannot be kept: $kept.lock cannot be written"
            flock -w 780 "$lock" || fail "$container_image is being fetched by another session for 13 minutes: try again later"
            if ! [ -e "$kept" ]; then
                echo "fetching $container_image with $container_kind (the first time takes minutes) ..."
                # It counts when it has its name: what an interrupted one left is written over.
                if ! "$container_kind" pull --force "$kept.part" "$container_image" >"$kept.log" 2>&1; then
                    tail -n 5 "$kept.log"
                    rm -f "$kept.part"
                    fail "$container_image could not be fetched ($(container_last_line "$(cat "$kept.log")")): correct service_path_to_sing, or fetch it where there is a way to it and set service_path_to_sing to the file"
                fi
                mv "$kept.part" "$kept"
                rm -f "$kept.log"
                echo "fetched $container_image"
            fi
            exec {lock}>&-
            ;;
    esac
    if ! { printf '%s\n' "$kept" >"$resource_jobdir/service/image.path.new" &&
        mv "$resource_jobdir/service/image.path.new" "$resource_jobdir/service/image.path"; }; then
        fail "nothing can be written to $resource_jobdir: is the disk full?"
    fi
}
