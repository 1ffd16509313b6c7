#!/bin/sh
# install-config.sh SAMPLE FOLDER: installs postern.conf, unless there is one, which is the admin's.
set -eu
file=${DESTDIR:-}$2/postern.conf
if [ -e "$file" ]; then
    echo "Keeping $file"
elif [ -z "${MESON_INSTALL_DRY_RUN:-}" ]; then
    echo "Installing $file"
    mkdir -p "${file%/*}"
    install -m 0640 "$1" "$file"
fi
