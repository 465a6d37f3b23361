#!/usr/bin/env bash
# The dashboard in a real headless Chromium, before the router that scripts/run.sh starts. Ports: as for scripts/run.sh.
#
#   scripts/dashboard.sh                     its tests; the last line is `N passed, M failed`
#   scripts/dashboard.sh --screenshot FILE   a picture of it instead (docs/dashboard.png)
#   scripts/dashboard.sh --install           only gets Chromium (Debian's) and playwright-core (npm's)
# shellcheck source=scripts/lib.sh
source "$(dirname -- "${BASH_SOURCE[0]}")/lib.sh"

playwright="$TOOLS/playwright-core-$PLAYWRIGHT_VERSION"

fetch_playwright() {
  [ ! -f "$playwright/node_modules/playwright-core/package.json" ] || return 0
  say "fetching playwright-core $PLAYWRIGHT_VERSION from npm"
  npm install --silent --no-audit --no-fund --no-save --prefix "$playwright" "playwright-core@$PLAYWRIGHT_VERSION" >/dev/null 2>&1 ||
    die "npm could not fetch playwright-core $PLAYWRIGHT_VERSION"
}

need node nodejs
need npm npm
with_lock chromium need chromium chromium
with_lock playwright fetch_playwright
[ "${1:-}" != --install ] || exit 0

export LLM_ROUTER_CONTROL_TOKEN=the-token-of-the-dashboards-tests
exec scripts/run.sh --with node wasm-tests/tests/dashboard.mjs "$playwright" "$(command -v chromium)" "$@"
