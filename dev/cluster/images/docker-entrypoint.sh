#!/bin/sh
# As in the official images: options alone are for the server, and root becomes the server's user.
set -eu
case ${1:-} in
-* | *.conf) set -- "$DEFAULT_COMMAND" "$@" ;;
esac
if [ "$(id -u)" = 0 ] && [ "${1:-}" = "$DEFAULT_COMMAND" ]; then
  exec setpriv --reuid=999 --regid=999 --clear-groups "$@"
fi
exec "$@"
