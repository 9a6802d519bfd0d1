# shellcheck shell=bash disable=SC2154
# Functions for start-template.sh and kill-template.sh: what is known of the DCV server, and a session on it.

dcv_session=sessiond-${resource_jobdir##*/}
dcv_tokens=/var/run/dcvsimpleextauth

# dcv_setting KEY: its value in the server's configuration, or nothing. Every key is in one section only.
dcv_setting() {
    sed -n "s/^[ \t]*$1[ \t]*=[ \t]*//p" "${DCV_CONF:-/etc/dcv/dcv.conf}" 2>/dev/null | sed -e 's/[ \t]*$//' -e 's/^"\(.*\)"$/\1/' | tail -n 1
}

# is_private ADDRESSES: whether all of them, in the list of web-listen-endpoints, are this machine's own.
is_private() {
    local address addresses
    mapfile -t addresses < <(printf '%s\n' "$1" | tr -d "[:space:]\"'" | sed -e 's/^\[//' -e 's/\]$//' | tr , '\n')
    for address in "${addresses[@]}"; do
        case ${address} in 127.*:* | '[::1]:'* | localhost:*) ;; *) return 1 ;; esac
    done
}

# dcv_token_tool ARGUMENT...: the external authenticator's tool, as oneself or as root where sudo asks for no password.
dcv_token_tool() {
    # shellcheck disable=SC2024 # one's own file
    dcvsimpleextauth "$@" --auth-dir "${dcv_tokens}" 2>/dev/null <"${dcv_input:-/dev/null}" ||
        sudo -n dcvsimpleextauth "$@" --auth-dir "${dcv_tokens}" <"${dcv_input:-/dev/null}"
}

# give_token: the session's token opens its desktop. It goes through a file that is there for that moment.
give_token() {
    local dcv_input=${resource_jobdir}/service/token status
    (umask 077 && printf '%s' "${service_token}" >"${dcv_input}")
    dcv_token_tool add-user --user "$(id -un)" --session "${dcv_session}" --append
    status=$?
    rm -f "${dcv_input}"
    if [ "${status}" -eq 0 ]; then : >"${resource_jobdir}/service/token.given"; fi
    return "${status}"
}

# end_dcv: take back the token, and close the session that was created here.
end_dcv() {
    if [ -e "${resource_jobdir}/service/token.given" ]; then
        dcv_token_tool remove-user --user "$(id -un)" --session "${dcv_session}" && rm -f "${resource_jobdir}/service/token.given"
    fi
    if [ -e "${resource_jobdir}/service/dcv.created" ]; then
        dcv close-session "${dcv_session}" && rm -f "${resource_jobdir}/service/dcv.created"
    fi
}

# dcv_described KEY: a text in what DCV says of the session.
dcv_described() { dcv describe-session "${dcv_session}" --json 2>/dev/null | sed -n "s/.*\"$1\"[ ]*:[ ]*\"\([^\"]*\)\".*/\1/p"; }
