#!/usr/bin/env bash
# Makes sure that the browser tests find Chromium: ROBIN_CHROMIUM, or one on the PATH, or Debian's package when root.
set -euo pipefail
[ -n "${ROBIN_CHROMIUM:-}" ] && [ -x "$ROBIN_CHROMIUM" ] && exit 0
command -v chromium >/dev/null 2>&1 && exit 0
if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null 2>&1; then
  echo "installing Chromium for the browser tests"
  apt-get update -qq
  DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends chromium fonts-dejavu-core >/dev/null
  command -v chromium >/dev/null 2>&1 && exit 0
fi
echo "the browser tests need Chromium: install it (Debian: apt-get install chromium), or set ROBIN_CHROMIUM to its path" >&2
exit 1
