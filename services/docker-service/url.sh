# shellcheck shell=bash disable=SC2154
docker_url=${service_url//__token__/${service_token}}
export URLEND="${docker_url}\""
