# shellcheck shell=bash disable=SC2154
# noVNC 1.3 and older take the path from the gateway's root, newer ones from the page's own: the server minds neither.
export URLEND="vnc.html?token=${service_token}&autoconnect=true&reconnect=true&reconnect_delay=2000&resize=remote&show_dot=true&path=me/${openPort}/websockify\""
