# shellcheck shell=bash disable=SC2154
export URLEND="tree?token=${service_token}\""
