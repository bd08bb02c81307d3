#!/bin/sh
# A Debian package of what was built: deb.sh [FOLDER], which gets the package.
# INSTALL_FROM and INSTALL_COMMAND_FROM are as in install.mk.
set -eu
here=$(cd "$(dirname "$0")/.." && pwd)
out=$(cd "${1:-.}" && pwd)
cd "$here"
version=$(sed -n 's/^#define AUDITRAIL_VERSION "\(.*\)"/\1/p' include/auditrail.h)
architecture=$(dpkg --print-architecture)
stage=$(mktemp -d)
trap 'rm -rf "$stage"' EXIT
chmod 755 "$stage"
make -s -f install.mk install DESTDIR="$stage" PREFIX=/usr LIBDIR="/usr/lib/$(gcc -print-multiarch)" >/dev/null
strip --strip-unneeded "$stage"/usr/lib/*/libauditrail.so.*.*
strip --strip-debug "$stage"/usr/lib/*/libauditrail.a
find "$stage" -name '*.1' -exec gzip -9n {} +
for file in LICENSE-MIT LICENSE-APACHE CHANGELOG.md; do
    install -D -m 644 "$file" "$stage/usr/share/doc/auditrail/$file"
done
mkdir "$stage/DEBIAN"
cat >"$stage/DEBIAN/control" <<EOF
Package: auditrail
Version: $version
Architecture: $architecture
Maintainer: The auditrail authors <noreply@example.org>
Section: libs
Priority: optional
Depends: libc6, libgcc-s1
Installed-Size: $(du -sk "$stage/usr" | cut -f1)
Description: embedded audit trail
 A shared library with a C interface, and a command, for appending structured
 events as JSON lines, durably, and for reading them back.
EOF
echo 'activate-noawait ldconfig' >"$stage/DEBIAN/triggers"
dpkg-deb --build --root-owner-group "$stage" "$out/auditrail_${version}_$architecture.deb" >/dev/null
echo "$out/auditrail_${version}_$architecture.deb"
