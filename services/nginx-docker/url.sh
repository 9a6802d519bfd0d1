# shellcheck shell=bash
export URLEND="\""
