#!/bin/bash
unset SESSIOND_RUN
cd '/home/ada/sessiond/0123456789ab' || exit 1
. ./inputs.sh || exit 1
. ./secrets.sh || exit 1
. ./lib/kill.sh || exit 1
# From here on: kill-template.sh, as it is.
echo "ending ${job_number}"
