#!/usr/bin/env bash
# Installs the Debian packages that the end-to-end tests drive; a test whose tool is missing says so and is skipped.
# With LAYERCAST_TEST_KUBERNETES set, also what `npm run test:kubernetes` needs.
set -euo pipefail
packages=(containerd runc umoci skopeo zstd pigz isal erofs-utils busybox-static docker-registry ca-certificates fuse3 fuse-overlayfs)
if [[ -n ${LAYERCAST_TEST_KUBERNETES:-} ]]; then packages+=(etcd-server); fi
missing=()
for package in "${packages[@]}"; do
  dpkg-query -W -f='${Status}' "$package" 2>/dev/null | grep -q 'install ok installed' || missing+=("$package")
done
if ((${#missing[@]})); then
  apt-get update -qq
  # A package that starts a service on install has no business starting it here.
  printf '#!/bin/sh\nexit 101\n' >/usr/sbin/policy-rc.d && chmod +x /usr/sbin/policy-rc.d
  DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null
  rm -f /usr/sbin/policy-rc.d
fi
