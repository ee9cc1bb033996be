# shellcheck shell=bash
# shellcheck disable=SC2154 # the variables are those of environment.sh
# containerd, kubelet, kube-proxy, DNS and volumes: the cluster's one node. Sourced by up.sh, in $run.

mkdir -p cni volumes "$runtime"
chmod 755 cni
: >resolv.conf
envsubst <"$here/config/cni.conflist" >cni/10-sagashop.conflist
for file in containerd.toml kubelet.yaml kube-proxy.yaml Corefile; do
  envsubst <"$here/config/$file" >"$file"
done

start containerd containerd --config "$run/containerd.toml"
wait_for "containerd ready" 30 containers version
containers images import "$kubernetes_bin/pause.tar" >/dev/null
start kubelet kubelet --config "$run/kubelet.yaml" --kubeconfig "$run/kubelet.conf" --root-dir "$run/kubelet" \
  --hostname-override "$node" --node-ip "$node_ip"
start kube-proxy kube-proxy --config "$run/kube-proxy.yaml"
start coredns coredns -conf "$run/Corefile"
start provisioner provisioner -kubeconfig "$run/admin.conf" -root "$run/volumes"
start network-policies network-policies -kubeconfig "$run/admin.conf" -dns "$node_ip"
envsubst <"$here/config/addons.yaml" | kubectl apply -f - >/dev/null

node_ready() { kubectl get node "$node" --no-headers | grep -qw Ready; }
wait_for "node ready" 120 node_ready
wait_for "DNS ready" 60 curl -fsS http://127.0.0.1:18181/ready
wait_for "service accounts ready" 60 kubectl -n default get serviceaccount default
