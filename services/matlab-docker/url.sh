# shellcheck shell=bash disable=SC2154
export URLEND="?mwi-auth-token=${service_token}\""
