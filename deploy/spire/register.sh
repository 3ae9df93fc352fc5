#!/bin/sh
# Registers svidecar on one machine: an identity for this user's processes of this executable. Both are needed: the user's other processes can have an
# executable load their code, and another user's may run it as well. So that user is svidecar's alone. Runs where spire-server's socket is.
# usage: register.sh NODE SERVICE USER [SHA256]
#   NODE     the machine, as `spire-server token generate -spiffeID spiffe://example.org/node/NODE` named it
#   SERVICE  whom svidecar stands for there; also the common name of its certificates, which is what CloudTrail shows as source identity
#   USER     that svidecar runs as
#   SHA256   of the node's /usr/bin/svidecar; left out, user and path have to do. With it, an update of the package needs an entry of its own first.
set -eu
trust_domain=example.org
socket=/run/spire/server/api.sock

# An empty digest is one that could not be taken, and no wish to do without.
[ $# -eq 3 ] || { [ $# -eq 4 ] && expr "x$4" : 'x[0-9a-f]\{64\}$' >/dev/null; } || {
  sed -n 's/^# usage: /usage: /p' "$0" >&2
  exit 2
}

spire-server entry create -socketPath "$socket" \
  -parentID "spiffe://$trust_domain/node/$1" \
  -spiffeID "spiffe://$trust_domain/service/$2" \
  -selector "unix:user:$3" \
  -selector unix:path:/usr/bin/svidecar \
  ${4:+-selector "unix:sha256:$4"} \
  -x509SVIDTTL 3600 \
  -jwtSVIDTTL 300 \
  -dns "$2"
