#!/usr/bin/env bash
# Prints a directory with prometheus, promtool, prometheus-alertmanager and amtool, fetching them first where it must: from
# PATH if all four are there, else Debian's packages, unpacked into .tools. Nothing is installed, so no service is started.
# shellcheck source=scripts/lib.sh
source "$(dirname -- "${BASH_SOURCE[0]}")/lib.sh"

TOOLS_NEEDED=(prometheus promtool prometheus-alertmanager amtool)

# The one directory where all of them are.
installed() {
  local directory tool
  have prometheus || return 1
  directory="$(dirname -- "$(command -v prometheus)")"
  for tool in "${TOOLS_NEEDED[@]}"; do [ -x "$directory/$tool" ] || return 1; done
  printf '%s\n' "$directory"
}

# Debian's Alertmanager reads its templates from /usr/share and nowhere else: so it gets a /usr/share of its own, which only
# it sees. The process stays the same one, and ends by its id.
wrap() {
  local unpacked=$1 directory=$1/bin tool
  mkdir -p "$directory"
  for tool in prometheus promtool amtool; do ln -sf "../usr/bin/$tool" "$directory/$tool"; done
  cat >"$directory/.new" <<WRAPPER
#!/bin/sh
[ "\$(id -u)" = 0 ] || user=--map-root-user
exec unshare --mount \$user sh -c 'mount --bind "$unpacked/usr/share" /usr/share && exec "$unpacked/usr/bin/prometheus-alertmanager" "\$@"' sh "\$@"
WRAPPER
  chmod 755 "$directory/.new"
  mv -- "$directory/.new" "$directory/prometheus-alertmanager"
}

if ! installed; then
  unpacked="$(unpacked_packages prometheus prometheus prometheus-alertmanager)"
  [ -x "$unpacked/bin/prometheus-alertmanager" ] || wrap "$unpacked"
  printf '%s/bin\n' "$unpacked"
fi
