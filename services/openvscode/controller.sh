#!/usr/bin/env bash
# Find a code-server, unpack one, or install one; leave its path in ${resource_jobdir}/service/code-server.path.

# shellcheck source=services/_lib/toolkit.sh
. "${resource_jobdir:?}/lib/toolkit.sh"

# runs PROGRAM: whether it is a code-server that can be started here.
runs() {
    [ -f "$1" ] && [ -x "$1" ] && timeout 60 "$1" --config "$resource_jobdir/service/config.yaml" --version >/dev/null 2>&1
}

# Print the first code-server in the places where people and administrators put it.
look_around() {
    local candidate
    for candidate in "$(type -P code-server)" "$HOME"/.local/bin/code-server "$HOME"/.local/lib/code-server-*/bin/code-server \
        "$HOME"/pw/bootstrap/*/bin/code-server "$HOME"/pw/*/bin/code-server /opt/*/bin/code-server \
        /usr/lib/code-server/bin/code-server /shared/*/bin/code-server; do
        if runs "$candidate"; then
            printf '%s\n' "$candidate"
            return 0
        fi
    done
    return 1
}

why_tar_failed() {
    grep -E '^tar: ' "$1" | head -n 1 | grep . || printf 'it holds no bin/code-server that runs here'
}

unpack() {
    mkdir "$1" && tar -xzf "$2" --strip-components=1 --no-same-owner -C "$1" && runs "$1/bin/code-server"
}

why_npm_failed() {
    if grep -qE 'ENOTFOUND|ECONNREFUSED|ETIMEDOUT|EAI_AGAIN|network' "$1"; then
        printf 'npm got nothing from its registry'
    else
        grep -iE 'fatal error|not found|npm err' "$1" | head -n 1 | grep . || printf 'npm gave no reason'
    fi
}

# Some parts of code-server are compiled by its installation. The headers of Node on this host serve for that, if they are
# there: what they declare is the same for all versions. code-server wants the Node of its version, which npm has, too.
npm_install() {
    local made=$1
    mkdir "$made" && cd "$made" && echo '{"private": true}' >package.json || return
    export npm_config_audit=false npm_config_fund=false npm_config_update_notifier=false FORCE_NODE_VERSION=24
    if [ -e /usr/include/node/node_api.h ]; then export npm_config_nodedir=/usr; fi
    npm install node@24 || return
    PATH=$made/node_modules/node/bin:$PATH npm install code-server@4 || return
    mkdir bin && cat >bin/code-server <<'END' && chmod 755 bin/code-server && runs "$made/bin/code-server"
#!/bin/sh
here=$(dirname "$(dirname "$(readlink -f "$0")")")
exec "$here/node_modules/node/bin/node" "$here/node_modules/code-server/out/node/entry.js" "$@"
END
}

if [ -n "${service_load_env:-}" ]; then
    # By the contract of service folders this parameter is shell code of the user's own.
    eval "$service_load_env"
fi
# The two are hidden in older forms, where they name a place and an archive that only some sites have.
install_dir=$(home_path "${service_install_dir:-}")
archive=$(home_path "${service_tgz_path:-}")
if runs "$install_dir/bin/code-server"; then
    code_server=$install_dir/bin/code-server
elif code_server=$(look_around); then
    echo "using $code_server"
elif [ -n "$archive" ] && [ -f "$archive" ]; then
    envs_folder code-server
    # shellcheck disable=SC2154 # set by envs_folder
    made=$envs/code-server-$(stat -c '%n %s %Y' "$archive" | sha256sum | cut -c1-12)
    make_once "$made" "code-server from $archive" "set service_tgz_path to a release of code-server for this machine" \
        why_tar_failed unpack "$made" "$archive"
    code_server=$made/bin/code-server
elif [ "${service_install:-}" = true ]; then
    type -P npm >/dev/null ||
        fail "code-server could not be installed: there is no npm here; load one with service_load_env, or set service_install_dir to a code-server's folder"
    envs_folder code-server
    made=$envs/code-server-npm-$(uname -m)
    make_once "$made" code-server "set service_install_dir to the folder of one that was installed by other means" \
        why_npm_failed npm_install "$made"
    code_server=$made/bin/code-server
else
    fail "there is no code-server here: set service_install_dir to the folder it is in, load it with service_load_env, or have it installed with service_install=true"
fi
leave "$code_server" "$resource_jobdir/service/code-server.path"
