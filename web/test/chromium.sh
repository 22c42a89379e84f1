#!/usr/bin/env bash
# Finds the Chromium that the browser tests use (CHROMIUM names another), or installs Debian's where it may. browser.mjs
# looks in the same places.
set -euo pipefail
found() {
  local c
  for c in "${CHROMIUM:-}" /usr/bin/chromium /usr/bin/chromium-browser /usr/bin/google-chrome; do
    [ -n "$c" ] && [ -x "$c" ] && return 0
  done
  return 1
}
found && exit 0
if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
  echo "The browser tests need Chromium: installing Debian's." >&2
  export DEBIAN_FRONTEND=noninteractive
  log=$(mktemp)
  trap 'rm -f "$log"' EXIT
  { apt-get update && apt-get install -y --no-install-recommends chromium; } >"$log" 2>&1 || tail -n 20 "$log" >&2
  found && exit 0
fi
echo "The browser tests need Chromium: on Debian, apt-get install chromium; elsewhere set CHROMIUM to its path." >&2
exit 1
