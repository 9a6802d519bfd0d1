# shellcheck shell=bash disable=SC2154
export URLEND="index.html?mwi-auth-token=${service_token}\""
