#!/bin/sh
# What of the official image's entry point is used here: a cluster with POSTGRES_USER, his database and his password.
set -eu
if [ "$(id -u)" = 0 ]; then
  install -d -o postgres -g postgres -m 0700 "$(dirname "$PGDATA")" "$PGDATA"
  as="setpriv --reuid postgres --regid postgres --clear-groups"
else
  install -d -m 0700 "$(dirname "$PGDATA")" "$PGDATA"
  as=
fi
if [ ! -s "$PGDATA/PG_VERSION" ]; then
  # readable by whoever runs initdb
  umask 077
  cat "$POSTGRES_PASSWORD_FILE" >/tmp/password
  [ -z "$as" ] || chown postgres /tmp/password
  $as initdb --encoding UTF8 --locale C.UTF-8 --username "$POSTGRES_USER" --pwfile /tmp/password --auth-local scram-sha-256 --auth-host scram-sha-256 -D "$PGDATA"
  echo "host all all all scram-sha-256" >>"$PGDATA/pg_hba.conf"
  $as postgres --single -D "$PGDATA" postgres >/dev/null <<X
CREATE DATABASE $POSTGRES_DB;
X
  rm /tmp/password
fi
exec $as "$@" -D "$PGDATA" -c listen_addresses='*' -c unix_socket_directories=/tmp
