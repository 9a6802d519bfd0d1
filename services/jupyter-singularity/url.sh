# shellcheck shell=bash disable=SC2154
export URLEND="?token=${service_token}\""
