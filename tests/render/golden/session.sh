#!/bin/bash
export SESSIOND_JOBDIR='/home/ada/sessiond/0123456789ab'
# The mark must be in the environment the process began with: that is where it is looked for.
[ "${SESSIOND_TAG-}" = 'sd-0123456789ab' ] || SESSIOND_TAG='sd-0123456789ab' exec bash "$SESSIOND_JOBDIR/session.sh"
# The watcher comes back from this line in a shell of the service's own, where the rest runs.
. "$SESSIOND_JOBDIR/lib/watch.sh" || exit 1
. "$SESSIOND_JOBDIR/inputs.sh" || exit 1
. "$SESSIOND_JOBDIR/secrets.sh" || exit 1
export SESSIOND_HOST=127.0.0.1 SESSIOND_LISTEN=loopback SESSIOND_SCHEME=http
# What this cluster needs before every script.
umask 027
# Working directory, helper functions, the service's port, and word of where it will listen.
. "$SESSIOND_JOBDIR/lib/prelude.sh" || exit 1
eval "${service_load_env-}"
# From here on: start-template.sh, as it is.
echo "serving on ${servicePort}"
sleep 9999
