#!/usr/bin/env bash
# A real PostgreSQL server on a Unix socket only: postgres.sh DIR
# DIR is made, holds the data and the socket, and belongs to the server's user: PostgreSQL refuses to run as root, so for root it is
# `postgres`, which Debian's package has made. Runs in the foreground as the server itself, so its pid is the one to end.
# Ready when its output says "database system is ready". The one user is `postgres`, without a password.
set -euo pipefail
dir=$1
as=(setpriv --pdeathsig KILL --)
if [ "$(id -u)" -eq 0 ]; then
  # The signal at the parent's end is lost with a change of user, so it is asked for again after that.
  as=(setpriv --reuid=postgres --regid=postgres --init-groups --pdeathsig KILL --)
fi
bin=$(ls -d /usr/lib/postgresql/*/bin 2>/dev/null | sort -V | tail -n 1 || true)
bin=${bin:-$(dirname "$(command -v postgres || echo /missing/postgres)")}
if [ ! -x "$bin/postgres" ]; then
  echo "PostgreSQL is missing: run \`make peers\`" >&2
  exit 1
fi
if [ ! -d "$dir" ]; then
  mkdir -m 755 "$dir"
  if [ "$(id -u)" -eq 0 ]; then chown postgres: "$dir"; fi
  # Its folder is the working directory: the caller's may be closed to the server's user.
  cd "$dir"
  "${as[@]}" "$bin/initdb" -D "$dir/data" -U postgres -A trust -E UTF8 --locale=C --no-sync >&2
fi
cd "$dir"
exec "${as[@]}" "$bin/postgres" -D "$dir/data" -k "$dir" -c listen_addresses= -c fsync=off -c max_connections=200
