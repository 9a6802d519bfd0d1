# shellcheck shell=sh
# What runs in the container: ParaView's Python with the Visualizer, wherever the image has them. $@ are its options.

folder=${CONTAINER_FOLDER:-$HOME}
case $folder in
    '~') folder=$HOME ;;
    \~/*) folder=$HOME/${folder#\~/} ;;
esac
if ! [ -d "$folder" ]; then
    echo "There is no folder $folder in the container: set service_data_dir to one that is there, or mount it" >&2
    exit 1
fi

PATH=/opt/paraview/install/bin:/opt/paraview/bin:$PATH
program=$(command -v pvpython)
for found in /opt/paraview/install/share/paraview-*/web/visualizer /opt/paraview/share/paraview-*/web/visualizer \
    "${program%/bin/*}"/share/paraview-*/web/visualizer; do
    if [ -e "$found/server/pvw-visualizer.py" ]; then visualizer=$found; fi
done
if [ -z "$program" ] || [ -z "${visualizer:-}" ]; then
    echo "There is no ParaView with its Visualizer in the container: choose an image of ParaViewWeb" >&2
    exit 1
fi

# Some images say in a variable how ParaView is to draw there.
exec pvpython ${EXTRA_PVPYTHON_ARGS:+"$EXTRA_PVPYTHON_ARGS"} "$CONTAINER_PRIVATE/visualizer.py" \
    "$CONTAINER_PRIVATE" "$visualizer" --data "$folder" "$@"
