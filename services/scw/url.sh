# shellcheck shell=bash disable=SC2154
# Scyld Cloud Workstation has a sign-in of its own, and no place for a token.
export URLEND="\""
