# shellcheck shell=bash disable=SC2154
export URLEND="lab?token=${service_token}\""
