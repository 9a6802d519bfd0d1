# shellcheck shell=bash disable=SC2154,SC1090
# The conda environment that a person named, for services in Python. Sourced after toolkit.sh.

# enter_conda: activate ${service_conda_env} of the conda that ${service_conda_sh} belongs to, where one is named. Fails
# where that cannot be done, with the reason in `conda_trouble`.
enter_conda() {
    local script
    conda_trouble=''
    [ -n "${service_conda_sh:-}" ] || return 0
    script=$(home_path "$service_conda_sh")
    if ! [ -r "$script" ]; then
        conda_trouble="there is no file $script (service_conda_sh)"
    elif ! . "$script" || ! conda activate "${service_conda_env:-base}"; then
        conda_trouble="$script (service_conda_sh) cannot activate ${service_conda_env:-base} (service_conda_env)"
    fi
    [ -z "$conda_trouble" ]
}

# enter_what_was_named: the set-up commands of the person, then the conda environment. Where the latter cannot be had and
# ${service_conda_install} allows it, an environment of our own will do. For controller.sh.
enter_what_was_named() {
    if [ -n "${service_load_env:-}" ]; then
        # By the contract of service folders this parameter is shell code of the user's own.
        eval "$service_load_env"
    fi
    if ! enter_conda; then
        [ "${service_conda_install:-}" = true ] ||
            fail "$conda_trouble: correct it, leave it empty, or set service_conda_install to true"
        echo "$conda_trouble: an environment of this service's own takes its place"
    fi
}
