#!/bin/sh
# Starts N nodes on this machine as one cluster, in the background; nodes that stand still come back.
#
#   scripts/cluster-start.sh N [FIRST_PORT]
#
# They are those of `kv mgmt`: KV_HOME says which folder keeps them, KV which program is used.
set -eu

die() {
    echo "cluster-start: $*" >&2
    exit 1
}

count=${1:-}
first=${2:-7101}
case $count in
'' | *[!0-9]*) die "say how many nodes, from 1 to 100: scripts/cluster-start.sh N [FIRST_PORT]" ;;
esac
case $first in
'' | *[!0-9]*) die "$first is no port; give the first of $count free ports in a row" ;;
esac
[ "$count" -ge 1 ] && [ "$count" -le 100 ] || die "from 1 to 100 nodes, not $count"
[ "$first" -ge 1 ] && [ $((first + count)) -le 65536 ] || die "there are no $count ports from $first on"

built=$(dirname "$0")/../target/release/kv
if [ -z "${KV:-}" ] && [ -x "$built" ]; then KV=$built; fi
KV=${KV:-kv}
command -v "$KV" >/dev/null || die "there is no $KV; build it with cargo build --release, or say with KV where it is"

server() {
    "$KV" mgmt -r server "$@"
}

port=$first
while [ "$port" -lt $((first + count)) ]; do
    address=127.0.0.1:$port
    health=$(server -c list 2>/dev/null | awk -v address="$address" '$2 == address { print $3 }')
    case $health in
    '')
        # The first node of all founds the cluster that the others join.
        if [ "$(server -c list 2>/dev/null | wc -l)" -le 1 ]; then
            server -c start -h "$address"
        else
            server -c join -h "$address"
        fi
        ;;
    down) server -c restart -h "$address" ;;
    *) echo "$address runs already" ;;
    esac
    port=$((port + 1))
done
