#!/bin/sh
# Format the storage once, with the administrator that `m0 keys init` made a password for, and become the broker.
set -eu
umask 077
password=$(cat /srv/m0club/keys/kafka/admin)
sed "s|@PASSWORD@|$password|g; s|@ADVERTISED@|${M0_KAFKA_ADVERTISED:-kafka:9092}|" /etc/kafka/m0club/server.properties >/tmp/server.properties
/opt/kafka/bin/kafka-storage.sh format --ignore-formatted -t bTBjbHViLWRldi1rYWZrYQ -c /tmp/server.properties \
  --add-scram "SCRAM-SHA-512=[name=admin,password=$password]"
exec /opt/kafka/bin/kafka-server-start.sh /tmp/server.properties
