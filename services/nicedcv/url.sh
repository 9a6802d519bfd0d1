# shellcheck shell=bash disable=SC2154
# The token opens the session's own desktop. Of one that runs already nothing is known here: DCV asks itself.
if [ "${service_is_running:-}" = True ]; then
    export URLEND="\""
else
    export URLEND="?authToken=${service_token}#sessiond-${resource_jobdir##*/}\""
fi
