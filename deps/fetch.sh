#!/bin/sh
# Fetches ONNX Runtime at the version and integrity that package-lock.json pins, and lays it into model/onnx/lib, where
# the build embeds it. GOOS and GOARCH choose another platform than this machine's (dist builds).
set -eu
cd "$(dirname "$0")"
npm ci --ignore-scripts --no-audit --no-fund --loglevel=error
cd ..
# The packer runs on this machine whatever platform it packs for.
target_os=$(go env GOOS) target_arch=$(go env GOARCH)
GOOS= GOARCH= go run deps/pack.go -modules deps/node_modules -lib model/onnx/lib -os "$target_os" -arch "$target_arch"
