# shellcheck shell=sh
# Begins a node of a cluster. One that has lost its volume would not be taken back by the others, who believe that it is a
# member, and would found a cluster of its own. So it has them forget it first; then it joins as a new one.
# NODES: of the whole cluster, this one too. A node without data is marked until it is in a cluster with the majority
# (joined.sh), and serves nobody until then: what it holds is of a cluster that nobody knows, and is thrown away here.
set -eu
folder=/var/lib/rabbitmq
data=$folder/mnesia/$RABBITMQ_NODENAME
joining=$folder/joining

# Exit status of a command line tool whose node does not answer.
unavailable=69

# forgotten NODE: whether the node does not take this one for a member, any more or ever, or cannot be reached.
forgotten() {
  status=0
  member=$(rabbitmqctl --quiet --timeout 15 --node "$1" eval "lists:member('$RABBITMQ_NODENAME', rabbit_nodes:list_members())." 2>/dev/null) || status=$?
  [ "$status" != "$unavailable" ] || return 0
  case $member in
  false) ;;
  true)
    echo "this node has lost its data: $1 is to forget that it was a member"
    rabbitmqctl --quiet --timeout 60 --node "$1" forget_cluster_node "$RABBITMQ_NODENAME"
    ;;
  *)
    echo "waiting for $1, which cannot say yet whether this node is a member"
    return 1
    ;;
  esac
}

forgotten_by_all() {
  for node in $NODES; do
    [ "$node" = "$RABBITMQ_NODENAME" ] || forgotten "$node" || return 1
  done
}

if [ -e "$joining" ] || [ ! -d "$data" ]; then
  trap 'exit 1' TERM
  touch "$joining"
  rm -rf "$data" "$data"-* "$folder/open"
  until forgotten_by_all; do sleep 5; done
fi
exec docker-entrypoint.sh rabbitmq-server
