# shellcheck shell=bash disable=SC2154
# What follows the # is never sent to a server, nor logged by one. VNC knows eight characters of a password.
export URLEND="vnc.html?autoconnect=true&resize=remote&show_dot=true&path=me/${openPort}/websockify#password=${service_token:0:8}\""
