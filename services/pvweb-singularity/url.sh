# shellcheck shell=bash disable=SC2154
# The page takes it from what follows the #, which is never sent to a server.
export URLEND="#secret=${service_token}\""
