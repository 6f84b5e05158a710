#!/usr/bin/env bash
# An authority for one Dask cluster, and a certificate of it for each name: cluster-certificates.sh DIR scheduler worker client
# Writes DIR/ca.pem, DIR/ca.key, DIR/NAME.pem and DIR/NAME.key. An authority that lies there already signs the new ones.
# Give each machine ca.pem and its own pair; keep ca.key away from all of them: who has it can join the cluster.
set -euo pipefail

[ $# -ge 2 ] || { echo "usage: $0 DIR NAME..." >&2; exit 2; }
directory=$1; shift
days=${DAYS:-825} # renew before; Dask reads the files when it starts
umask 077
mkdir -p "$directory"
cd "$directory"
config=$(mktemp); trap 'rm -f "$config" ./*.csr' EXIT
printf '[req]\ndistinguished_name = dn\nprompt = no\n[dn]\nCN = ovf\n[ca]\nbasicConstraints = critical, CA:true\nkeyUsage = critical, keyCertSign\n[leaf]\nbasicConstraints = CA:false\n' >"$config"

new_key() { openssl ecparam -name prime256v1 -genkey -noout -out "$1"; }

if [ ! -e ca.key ]; then
  new_key ca.key
  openssl req -x509 -new -key ca.key -days "$days" -subj "/CN=ovf cluster" -config "$config" -extensions ca -out ca.pem
fi
for name in "$@"; do
  new_key "$name.key"
  openssl req -new -key "$name.key" -subj "/CN=$name" -config "$config" -out "$name.csr"
  openssl x509 -req -in "$name.csr" -CA ca.pem -CAkey ca.key -CAcreateserial -days "$days" \
    -extfile "$config" -extensions leaf -out "$name.pem" 2>/dev/null
done
