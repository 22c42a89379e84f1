#!/usr/bin/env bash
# Says which Chromium the browser tests will use, or how to get one. CHROMIUM names another.
set -euo pipefail
for c in "${CHROMIUM:-}" /usr/bin/chromium /usr/bin/chromium-browser /usr/bin/google-chrome; do
  if [ -n "$c" ] && [ -x "$c" ]; then
    exit 0
  fi
done
echo "The browser tests need Chromium: on Debian, apt-get install chromium; elsewhere set CHROMIUM to its path." >&2
exit 1
