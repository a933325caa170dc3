#!/bin/sh
# Stops all nodes of this machine that `kv mgmt` has started; their data stays.
#
#   scripts/cluster-stop.sh
#
# KV_HOME says which folder keeps them, KV which program is used. cluster-start.sh brings them back.
set -eu

built=$(dirname "$0")/../target/release/kv
if [ -z "${KV:-}" ] && [ -x "$built" ]; then KV=$built; fi
KV=${KV:-kv}
command -v "$KV" >/dev/null || {
    echo "cluster-stop: there is no $KV; build it with cargo build --release, or say with KV where it is" >&2
    exit 1
}

failed=0
list=$("$KV" mgmt -r server -c list)
for address in $(echo "$list" | awk 'NR > 1 && $3 != "down" { print $2 }'); do
    "$KV" mgmt -r server -c stop -h "$address" || failed=1
done
exit $failed
