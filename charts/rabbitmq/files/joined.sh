# shellcheck shell=bash
# Succeeds once this node is open, and in a cluster with the majority of all nodes. MAJORITY: how many that is. AMQP_PORT: its own.
# A node that begin.sh has marked, and that has been open for a minute without anybody else in its cluster, is ended: it has
# founded one of its own because the others did not answer yet, whom it keeps from starting. Then begin.sh asks them again.
set -eu
folder=/var/lib/rabbitmq
joining=$folder/joining
open=$folder/open
# Most of the time it is not open yet, and a command line tool is an Erlang machine.
: 2>/dev/null </dev/tcp/localhost/$AMQP_PORT
if rabbitmqctl --quiet --timeout 10 await_online_nodes "$MAJORITY"; then
  rm -f "$joining" "$open"
  exit
fi
[ -e "$joining" ] || exit 1
[ -e "$open" ] || touch "$open"
if [ -n "$(find "$open" -mmin +1)" ]; then
  # One step, so that nobody joins between the look and the end; a node that does not answer is not ended.
  rabbitmqctl --quiet --timeout 10 eval '[_] = rabbit_nodes:list_members(), init:stop().'
fi
exit 1
