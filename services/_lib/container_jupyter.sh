# shellcheck shell=sh
# What runs in a container that holds Jupyter, whichever: JupyterLab, or a Notebook of version 7, or 6. Its text is given
# to the container's own sh. It is told by its environment:
#   CONTAINER_BASE    the path below which all of it is          CONTAINER_SOCKET   the Unix socket to listen on, or
#   CONTAINER_FOLDER  the folder it shows; the home if empty     CONTAINER_ADDRESS, CONTAINER_PORT
#   CONTAINER_PRIVATE a folder for what it writes for itself     JUPYTER_TOKEN, CONTAINER_PASSWORD (a hash, or empty)

folder=${CONTAINER_FOLDER:-$HOME}
case $folder in
    '~') folder=$HOME ;;
    \~/*) folder=$HOME/${folder#\~/} ;;
esac
if ! cd "$folder"; then
    echo "There is no folder $folder in the container: set service_notebook_dir to one that is there, or mount it" >&2
    exit 1
fi

if command -v jupyter-lab >/dev/null && command -v jupyter-server >/dev/null; then
    program=jupyter-lab class=ServerApp
elif command -v jupyter-notebook >/dev/null; then
    program=jupyter-notebook
    case $(jupyter-notebook --version 2>/dev/null) in
        [1-6].*) class=NotebookApp ;;
        *) class=ServerApp ;;
    esac
else
    echo "There is no JupyterLab and no Jupyter Notebook in the container: choose an image that has one" >&2
    exit 1
fi

private=${CONTAINER_PRIVATE:-$(mktemp -d)}
umask 077
mkdir -p "$private/config/labconfig"
# JupyterLab 4 asks every new user whether they want news, unless this plugin is off.
echo '{"disabledExtensions": {"@jupyterlab/apputils-extension:announcements": true}}' >"$private/config/labconfig/page_config.json"
if [ -n "${CONTAINER_PASSWORD:-}" ]; then
    for name in jupyter_server_config jupyter_notebook_config; do
        printf '{"%s": {"password": "%s"}}\n' "$class" "$CONTAINER_PASSWORD" >"$private/config/$name.json"
    done
fi
export JUPYTER_RUNTIME_DIR="$private/runtime" JUPYTER_CONFIG_PATH="$private/config${JUPYTER_CONFIG_PATH:+:$JUPYTER_CONFIG_PATH}"
umask 022

set -- "$program" --no-browser --"$class".base_url="$CONTAINER_BASE" --"$class".allow_remote_access=True \
    --"$class".certfile= --"$class".keyfile= --"$class".terminals_enabled=True --MappingKernelManager.cull_idle_timeout=0
if [ "$class" = NotebookApp ]; then
    set -- "$@" --NotebookApp.notebook_dir="$folder"
else
    set -- "$@" --ServerApp.root_dir="$folder"
fi
if [ -n "${CONTAINER_SOCKET:-}" ]; then
    # A socket is refused together with any port but the default, which then is not used.
    set -- "$@" --"$class".sock="$CONTAINER_SOCKET" --"$class".sock_mode=0600 --"$class".port=8888
else
    # Another port than this would be where nobody looks.
    set -- "$@" --"$class".ip="$CONTAINER_ADDRESS" --"$class".port="$CONTAINER_PORT" --"$class".port_retries=0
fi
if [ "$program" = jupyter-lab ]; then set -- "$@" --LabApp.news_url=None; fi
if [ "$(id -u)" -eq 0 ]; then set -- "$@" --allow-root; fi
unset CONTAINER_PASSWORD CONTAINER_SOCKET CONTAINER_PRIVATE CONTAINER_FOLDER CONTAINER_BASE CONTAINER_ADDRESS CONTAINER_PORT
exec "$@"
