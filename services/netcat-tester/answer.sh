# shellcheck shell=bash disable=SC2154
# Answer the one HTTP request on standard input: with the page for who knows the token, with "ok" at /healthz.

LC_ALL=C
# Who says nothing is not waited for. A line is cut where it becomes longer than any browser sends.
IFS=' ' read -r -t 20 -n 8192 method target _ || exit 0
while IFS= read -r -t 20 -n 8192 line && [ -n "${line%$'\r'}" ]; do :; done

respond() {
    printf 'HTTP/1.1 %s\r\nContent-Type: text/html; charset=utf-8\r\nContent-Length: %d\r\n' "$1" "${#2}"
    printf 'Connection: close\r\nCache-Control: no-store\r\nReferrer-Policy: no-referrer\r\n'
    printf "Content-Security-Policy: default-src 'none'; style-src 'unsafe-inline'\r\nX-Content-Type-Options: nosniff\r\n\r\n"
    [ "$method" = HEAD ] || printf '%s' "$2"
}

escaped() {
    local text=$1
    text=${text//&/&amp;}
    text=${text//</&lt;}
    printf '%s' "${text//>/&gt;}"
}

row() { printf '<tr><th>%s</th><td>%s</td></tr>\n' "$1" "$(escaped "$2")"; }

page() {
    printf '<!doctype html><html lang="en"><title>It works</title>\n'
    printf '<style>body{font:1rem/1.6 system-ui;margin:3rem}th{text-align:left;padding-right:2rem}</style>\n'
    printf '<h1>It works</h1>\n<table>\n'
    row host "$(uname -n)"
    row node "${SLURMD_NODENAME:-${SLURM_JOB_ID:-${PBS_JOBID:-none: it is in no job}}}"
    row user "$(id -un)"
    row "listens on" "${SESSIOND_LISTEN_SOCKET:-${SESSIOND_BIND}:${servicePort}}"
    row session "$job_name"
    row time "$(date '+%Y-%m-%d %H:%M:%S %Z')"
    printf '</table>\n</html>\n'
}

case $method in
    GET | HEAD) ;;
    *)
        respond '405 Method Not Allowed' 'This page can only be read.'
        exit 0
        ;;
esac
if [ "${target%%\?*}" = /healthz ]; then
    respond '200 OK' ok
elif [[ "&${target#*\?}&" = *"&token=${NETCAT_TOKEN:?}&"* && ${target%%\?*} = / ]]; then
    respond '200 OK' "$(page)"
elif [ "${target%%\?*}" = / ]; then
    respond '403 Forbidden' 'This page is private. Open it with the address that <code>sessionctl url</code> prints.'
else
    respond '404 Not Found' 'There is nothing here.'
fi
