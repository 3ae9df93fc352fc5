#!/bin/sh
# Installs svidecar, and spire-agent if one is given, into an image; runs as root while it is built. Nothing is started here.
set -eu
cd "$(dirname "$0")"
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

fail() {
  echo "svidecar feature: $*" >&2
  exit 1
}

# fetch NAME URL SHA256 OPTION: puts the executable NAME into $work. Fails unless it is the one that was meant; status 1 if none was given.
fetch() {
  name=$1 url=$2 sha256=$3 option=$4
  if [ -z "$url" ]; then
    [ -f "$name" ] || return 1
    cp "$name" "$work/$name"
    return
  fi
  [ -n "$sha256" ] || fail "${option}Url needs ${option}Sha256: an executable is not taken from the network unseen"
  if command -v curl >/dev/null; then
    curl --silent --show-error --fail --location --output "$work/download" "$url"
  elif command -v wget >/dev/null; then
    wget -q -O "$work/download" "$url"
  else
    fail "needs curl or wget to get $url"
  fi
  echo "$sha256  $work/download" | sha256sum -c - >/dev/null 2>&1 ||
    fail "$url has another SHA-256 than ${option}Sha256: $(sha256sum <"$work/download" | cut -d' ' -f1)"
  case $url in
  *.tar.gz)
    mkdir "$work/unpacked"
    tar -xzf "$work/download" -C "$work/unpacked"
    found=$(find "$work/unpacked" -type f -name "$name" | head -n 1)
    [ -n "$found" ] || fail "there is no $name in $url"
    mv "$found" "$work/$name"
    rm -rf "$work/unpacked" "$work/download"
    ;;
  *) mv "$work/download" "$work/$name" ;;
  esac
}

# put FILE: into /usr/local/bin, owned by root, so that what a registration entry names by its path is what was installed.
put() {
  mkdir -p /usr/local/bin
  cp "$1" "/usr/local/bin/${1##*/}"
  chown 0:0 "/usr/local/bin/${1##*/}"
  chmod 0755 "/usr/local/bin/${1##*/}"
}

for command in flock setsid; do
  command -v "$command" >/dev/null || fail "needs $command, of util-linux"
done
fetch svidecar "${SVIDECARURL:-}" "${SVIDECARSHA256:-}" svidecar || fail 'there is no svidecar: set svidecarUrl and svidecarSha256, or put the executable beside install.sh'
put "$work/svidecar"
svidecar --version || fail 'svidecar does not run in this image: it needs glibc and libstdc++, and to be built for this architecture'
if fetch spire-agent "${SPIREAGENTURL:-}" "${SPIREAGENTSHA256:-}" spireAgent; then
  put "$work/spire-agent"
  spire-agent --version || fail 'spire-agent does not run in this image'
fi
put svidecar-devcontainer
