# shellcheck shell=bash disable=SC2154
# The sign-in page takes its password from what follows the #, which is never sent to a server.
rstudio_password=${service_password:-${service_token}}
if [[ ${rstudio_password} =~ ^[A-Za-z0-9._~-]+$ ]]; then
    export URLEND="#password=${rstudio_password}\""
else
    export URLEND="\""
fi
