#!/bin/sh
# Format storage that is new, with the administrator that `m0 keys init` made a password for, and become the broker.
set -eu
umask 077
password=$(cat /srv/m0club/keys/kafka/admin)

# put $3 wherever the text $1 has the mark $2; by the shell alone: everybody may read the command line of a process
fill() {
  left=$1 filled=
  while [ "$left" != "${left#*"$2"}" ]; do
    filled=$filled${left%%"$2"*}$3
    left=${left#*"$2"}
  done
  filled=$filled$left
}

fill "$(cat /etc/kafka/m0club/server.properties)" @PASSWORD@ "$password"
fill "$filled" @ADVERTISED@ "${M0_KAFKA_ADVERTISED:-kafka:9092}"
printf '%s\n' "$filled" >/tmp/server.properties

# written last when storage is formatted: without it there is none, or an interrupted one
if [ ! -e /var/lib/kafka/data/meta.properties ]; then
  cluster=$(/opt/kafka/bin/kafka-storage.sh random-uuid)
  printf '%s\n' -t "$cluster" --add-scram "SCRAM-SHA-512=[name=admin,password=$password]" >/tmp/format.options
  /opt/kafka/bin/kafka-storage.sh format @/tmp/format.options -c /tmp/server.properties
  rm /tmp/format.options
fi
exec /opt/kafka/bin/kafka-server-start.sh /tmp/server.properties
