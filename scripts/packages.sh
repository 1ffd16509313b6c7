# Sourced by the scripts beside it: installs Debian packages, asking nothing and starting nothing.
# shellcheck shell=sh

package_is_missing() {
    ! dpkg-query --show --showformat='${db:Status-Status}\n' "$1" 2>/dev/null | grep -qx installed
}

# A package's service is not to be started because a test needs its programs.
forbid_services() {
    [ ! -e /usr/sbin/policy-rc.d ] || return 0
    printf '#!/bin/sh\nexit 101\n' >/usr/sbin/policy-rc.d
    chmod 755 /usr/sbin/policy-rc.d
    trap 'rm -f /usr/sbin/policy-rc.d' EXIT INT TERM
}

apt_install() (
    export DEBIAN_FRONTEND=noninteractive
    forbid_services
    echo 'postfix postfix/main_mailer_type select No configuration' | debconf-set-selections
    apt-get update -qq
    apt-get install -y -qq --no-install-recommends "$@"
)

install_packages() {
    missing=
    for package in "$@"; do
        if package_is_missing "$package"; then missing="$missing $package"; fi
    done
    [ -n "$missing" ] || return 0
    if [ "$(id -u)" -ne 0 ]; then
        echo "Missing packages; as root: apt-get install$missing" >&2
        return 1
    fi
    echo "Installing:$missing"
    # shellcheck disable=SC2086 # a list of words
    apt_install $missing
}

# configure FOLDER OPTION...: makes the build folder, or gives the options to the one there is.
configure() {
    folder=$1
    shift
    if [ -f "$folder/build.ninja" ]; then
        meson configure "$folder" "$@"
    else
        meson setup "$folder" "$@"
    fi
}
