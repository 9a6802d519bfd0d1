# shellcheck shell=bash disable=SC2154
# Functions for start-template.sh and kill-template.sh: the one Scyld Cloud Workstation of the machine.

scw_started=${resource_jobdir}/service/scw.started

# scw_listens: whether somebody listens on its port.
scw_listens() {
    local hex
    printf -v hex '%04X' "${service_scw_port:-443}"
    cat /proc/net/tcp /proc/net/tcp6 2>/dev/null |
        awk -v port="${hex}" '$4 == "0A" && substr($2, length($2) - 3) == port { found = 1 } END { exit !found }'
}

# start_scw: the machine's service, as root where sudo asks for no password. It is ended again only if this started it.
start_scw() {
    local tenths
    : >"${scw_started}"
    sudo -n service scyld-cloud-workstation start || { rm -f "${scw_started}" && return 1; }
    for ((tenths = 0; tenths < 300; tenths++)); do
        if scw_listens; then return 0; fi
        sleep 0.1
    done
    return 1
}

# end_scw: the same, if it was started here.
end_scw() {
    if [ -e "${scw_started}" ]; then sudo -n service scyld-cloud-workstation stop && rm -f "${scw_started}"; fi
}
