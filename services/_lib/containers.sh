# shellcheck shell=bash disable=SC2154 # variables of the session
# Containers for the scripts of a service folder: through docker, podman, ch-run (Charliecloud), apptainer or singularity,
# whichever is there and works. It lies at lib/containers.sh of every session's folder, and needs lib/toolkit.sh.
#
# A function that fails says why in `container_problem`: one sentence with a remedy.
#
#   container_choose IMAGE            docker, podman or ch-run        container_choose_sif IMAGE    apptainer and its kind
#   container_fetch                   have the image here             container_mount, container_mounts   folders in it
#   container_set NAME VALUE          a variable in it                container_secret TEXT   what no log may show
#   container_publish PORT            its port is the session's       container_gpus, container_as_user
# How it is run and ended is in lib/container_run.sh.

# What lib/container_run.sh reads of it.
# shellcheck disable=SC2034
container_problem='' container_kind='' container_image='' container_rootless='' container_shared=''
container_cli=() container_options=() container_binds=() container_places=() container_hidden=()
declare -A container_environment=()

# container_place TEXT: a path as people write it, as the shell would have it: ~, and the two variables that forms use.
container_place() {
    local text=$1
    case $text in
        '~') text=$HOME ;;
        \~/*) text=$HOME/${text#'~/'} ;;
    esac
    # Old forms have a dollar that no shell expands.
    # shellcheck disable=SC2016
    text=${text//'${HOME}'/"$HOME"} text=${text//'${USER}'/"${USER:-$(id -un)}"}
    printf '%s\n' "$text"
}

# container_is_path TEXT: whether it is the place of an image, and not the name of one in a registry.
container_is_path() {
    # shellcheck disable=SC2016 # as in container_place
    case $1 in
        /* | ./* | ../* | '~' | \~/* | '${'*) return 0 ;;
    esac
    return 1
}

# container_works KIND: whether it can run something here. It sets container_cli, or `why` to the reason.
container_works() {
    local said
    if ! type -P "$1" >/dev/null; then
        why="$1 is not installed"
        return 1
    fi
    container_cli=("$1") container_rootless=''
    case $1 in
        docker)
            # A client without its daemon is often installed: only the daemon's answer counts.
            if ! said=$(timeout 20 docker info --format '{{json .SecurityOptions}}' 2>&1); then
                case $said in
                    *'permission denied'*)
                        # Some sites let people use docker through sudo alone.
                        if type -P sudo >/dev/null &&
                            said=$(timeout 20 sudo -n docker info --format '{{json .SecurityOptions}}' 2>&1); then
                            container_cli=(sudo -n docker)
                        else
                            why="docker refuses $(id -un)"
                            return 1
                        fi
                        ;;
                    *'annot connect to the Docker daemon'*)
                        why='docker has no running daemon'
                        return 1
                        ;;
                    *)
                        why="docker says: $(container_last_line "$said")"
                        return 1
                        ;;
                esac
            fi
            case $said in *name=rootless*) container_rootless=yes ;; esac
            ;;
        podman)
            if ! said=$(timeout 20 podman info --format '{{.Host.Security.Rootless}}' 2>&1); then
                why="podman says: $(container_last_line "$said")"
                return 1
            fi
            case $said in *true*) container_rootless=yes ;; esac
            ;;
        ch-run)
            if [ "$(id -u)" -ne 0 ] && type -P unshare >/dev/null && ! unshare --user --mount true 2>/dev/null; then
                why='ch-run may make no user namespaces'
                return 1
            fi
            ;;
        *)
            if ! said=$(timeout 20 "$1" --version 2>&1); then
                why="$1 says: $(container_last_line "$said")"
                return 1
            fi
            ;;
    esac
}

# container_last_line TEXT: its last line that is not empty, short enough to be part of a sentence.
container_last_line() {
    local line
    line=$(printf '%s\n' "$1" | grep -v '^[[:space:]]*$' | tail -n 1 | cut -c 1-200)
    printf '%s\n' "${line:-nothing}"
}

# container_first KIND...: take the first that works.
container_first() {
    local kind why='' reasons=''
    for kind in "$@"; do
        if container_works "$kind"; then
            container_kind=$kind
            return 0
        fi
        reasons=${reasons:+$reasons, and }$why
    done
    container_problem=$reasons
    return 1
}

# container_choose IMAGE: how IMAGE is run: by docker or podman if it is a name, by ch-run if it is a path.
container_choose() {
    container_image=$1
    local wanted=${service_container_runtime:-auto} kinds=(docker podman)
    if container_is_path "$1"; then
        container_image=$(container_place "$1")
        kinds=(ch-run)
    elif ! [[ $1 =~ ^[A-Za-z0-9][A-Za-z0-9._/:@-]*$ ]]; then
        container_problem="\"$1\" is no name of an image: set service_docker_repo to one such as nginx:stable, or to the folder of an unpacked one"
        return 1
    fi
    case $wanted in
        auto) ;;
        docker | podman | ch-run)
            if [ "$wanted" = ch-run ] && [ "${kinds[0]}" != ch-run ]; then
                container_problem="ch-run needs the folder of an unpacked image, and $1 is a name: set service_docker_repo to the folder's path"
                return 1
            elif [ "$wanted" != ch-run ] && [ "${kinds[0]}" = ch-run ]; then
                container_problem="$wanted needs the name of an image, and $1 is a path: set service_docker_repo to a name, or service_container_runtime to ch-run"
                return 1
            fi
            kinds=("$wanted")
            ;;
        *)
            container_problem="service_container_runtime must be auto, docker, podman or ch-run, not \"$wanted\""
            return 1
            ;;
    esac
    if ! container_first "${kinds[@]}"; then
        if [ "${kinds[0]}" = ch-run ]; then
            container_problem="No container can be run on $(hostname): $container_problem; ask for Charliecloud there, or start it on another host"
        else
            container_problem="No container can be run on $(hostname): $container_problem; start it where one of them works, or set service_docker_repo to the folder of an unpacked image for ch-run"
        fi
        return 1
    fi
    if [ "$container_kind" = ch-run ] && ! [ -e "$container_image" ]; then
        container_problem="There is no unpacked image $container_image on $(hostname): set service_docker_repo to the folder of one"
        return 1
    fi
}

# container_choose_sif IMAGE: how the file, or the folder, IMAGE is run: by apptainer or singularity, and a folder by
# ch-run too.
container_choose_sif() {
    container_image=$(container_place "$1")
    local kinds=(apptainer singularity)
    case $container_image in
        '')
            container_problem='service_path_to_sing is empty: set it to the path of an image (.sif), or to docker://NAME'
            return 1
            ;;
        *://*) ;;
        *)
            if ! [ -e "$container_image" ]; then
                container_problem="There is no image $container_image on $(hostname): set service_path_to_sing to one, or to docker://NAME"
                return 1
            fi
            if [ -d "$container_image" ]; then kinds+=(ch-run); fi
            ;;
    esac
    if ! container_first "${kinds[@]}"; then
        container_problem="No container can be run on $(hostname): $container_problem; load one with service_load_env (e.g. module load apptainer), or start it on another host"
        return 1
    fi
}

# container_fetch: have the image here; what docker and podman do not have is pulled.
container_fetch() {
    local said
    case $container_kind in docker | podman) ;; *) return 0 ;; esac
    if "${container_cli[@]}" image inspect "$container_image" >/dev/null 2>&1; then return 0; fi
    echo "pulling $container_image with $container_kind (the first time takes minutes) ..."
    if said=$("${container_cli[@]}" pull --quiet "$container_image" 2>&1); then
        echo "pulled $container_image"
        return 0
    fi
    printf '%s\n' "$said" | tail -n 5
    container_problem="The image $container_image could not be pulled on $(hostname) ($(container_why_not_pulled "$said")"
    return 1
}

# container_why_not_pulled TEXT: cause and remedy, as they end a sentence with an open bracket.
container_why_not_pulled() {
    case $1 in
        *'no such host'* | *'onnection refused'* | *timeout* | *'network is unreachable'* | *'name resolution'* | *x509*)
            echo "its registry cannot be reached): pull it where there is a way to it, or set service_docker_repo to one that can be reached" ;;
        *toomanyrequests* | *'rate limit'*)
            echo "its registry gives no more for now): try again later, or log in there with \"$container_kind login\"" ;;
        *denied* | *unauthorized* | *'not found'* | *'manifest unknown'* | *'does not exist'*)
            echo "its registry has none of this name for you): correct service_docker_repo, or log in there with \"$container_kind login\"" ;;
        *'no space left'*)
            echo "the disk is full): free some with \"$container_kind image prune\"" ;;
        *) echo "$(container_last_line "$1")): the lines above say more" ;;
    esac
}

# container_mount PLACE [THERE [HOW]]: have the folder or file PLACE of the host in the container, at THERE if that is
# another path; HOW is ro, or other words of the runtime's own.
container_mount() {
    local place there how=${3:-}
    place=$(container_place "$1") there=$(container_place "${2:-$1}")
    if [[ $place = /* ]] && ! [ -e "$place" ]; then
        container_problem="There is no $place on $(hostname) to mount: correct the folders to mount"
        return 1
    elif [[ $there != /* || ($place != /* && $container_kind != docker && $container_kind != podman) ]]; then
        container_problem="\"$1\" cannot be mounted at \"$there\": paths must begin with /"
        return 1
    fi
    case " ${container_places[*]} " in *" $there "*) return 0 ;; esac
    container_places+=("$there")
    case $container_kind in
        docker | podman) container_binds+=(--volume "$place:$there${how:+:$how}") ;;
        ch-run)
            if [[ ,$how, = *,ro,* ]]; then
                container_problem="ch-run cannot mount $place read-only: mount it without :ro"
                return 1
            fi
            container_binds+=(--bind "$place:$there")
            ;;
        *) container_binds+=(--bind "$place:$there${how:+:$how}") ;;
    esac
}

# container_mounts TEXT: what people write to mount folders: -v A:B, --volume=A:B, --bind A, A:B:ro, one after the other,
# also with ___ for a blank, as old forms have it. Words as in a shell, but nothing in them is run.
container_mounts() {
    local text=${1//___/ } words=() word parts
    [ -n "$text" ] || return 0
    if ! printf '%s' "$text" | xargs printf '%s\n' >/dev/null 2>&1; then
        container_problem="The folders to mount cannot be read: a quote does not end in $text"
        return 1
    fi
    mapfile -t words < <(printf '%s' "$text" | xargs printf '%s\n')
    for word in "${words[@]}"; do
        case $word in
            -v | -B | -b | --volume | --bind | '') continue ;;
            --volume=* | --bind=*) word=${word#*=} ;;
            -v* | -B* | -b*) word=${word:2} ;;
            -*)
                container_problem="\"$word\" is no folder to mount: write folders as -v /here:/there"
                return 1
                ;;
        esac
        IFS=: read -r -a parts <<<"$word"
        container_mount "${parts[0]}" "${parts[1]:-}" "${parts[2]:-}" || return 1
    done
}

# container_usual_mounts: folders that clusters have for everybody, where they are there.
container_usual_mounts() {
    local folder
    for folder in /contrib /lustre; do
        if [ -d "$folder" ] && { [ "$container_kind" != ch-run ] || [ -d "$container_image$folder" ]; }; then
            container_mount "$folder" || return 1
        fi
    done
}

# container_home: the home folder in it, where it is here. apptainer and its kind have it by themselves, and ch-run knows
# one place for it.
container_home() {
    case $container_kind in
        docker | podman) container_mount "$HOME" ;;
        ch-run) if [ -d "$container_image/home" ]; then container_options+=(--home); fi ;;
    esac
}

# container_share: have the session's private folder in it, which `container_shared` is the path of there. For programs
# that run as the same user: a socket or a file in it is for its owner alone.
container_share() {
    local folder
    if ! folder=$(sessiond_socket_folder); then
        container_problem="No private folder can be made in /tmp of $(hostname): is the disk full?"
        return 1
    fi
    container_shared=$folder
    case $container_kind in
        ch-run)
            # It has the host's /tmp; elsewhere it can mount only where the image has something.
            if [[ $folder != /tmp/* ]]; then
                container_shared=/mnt
                container_mount "$folder" /mnt || return 1
            fi
            ;;
        *) container_mount "$folder" || return 1 ;;
    esac
}

# container_set NAME VALUE: a variable of the program in it; it is on no command line.
container_set() { container_environment[$1]=$2; }

# container_secret TEXT: never to be seen in the log, whatever the program prints.
container_secret() { if [ -n "$1" ]; then container_hidden+=("$1"); fi; }

# container_publish PORT: what listens on PORT in it can be reached at the session's port. ch-run and apptainer leave the
# network as it is: there the program has to listen on the session's port itself.
container_publish() {
    case $container_kind in docker | podman) container_options+=(--publish "$SESSIOND_BIND:$servicePort:$1") ;; esac
}

# container_gpus WANTED: the host's NVIDIA devices in it, if WANTED is true.
container_gpus() {
    [ "$1" = true ] || return 0
    case $container_kind in
        docker) container_options+=(--gpus all) ;;
        podman) container_options+=(--device nvidia.com/gpu=all) ;;
        ch-run) echo "ch-run: the devices are there, their libraries only if ch-fromhost --nvidia put them into the image" ;;
        *) container_options+=(--nv) ;;
    esac
}

# container_as_user: what it writes belongs to the user, whose home it has. Where the user's own daemon runs it, the user
# is its root.
container_as_user() {
    case $container_kind in docker | podman) container_set HOME "$HOME" ;; esac
    case $container_kind$container_rootless in
        docker | podman) container_options+=(--user "$(id -u):$(id -g)") ;;
        podmanyes) container_options+=(--userns keep-id) ;;
    esac
}
