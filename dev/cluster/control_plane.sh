# shellcheck shell=bash
# shellcheck disable=SC2154 # the variables are those of environment.sh
# etcd, API server, controllers and scheduler, as processes of this machine. Sourced by up.sh, in $run.

# Tests make and delete much and keep nothing: etcd need not wait for the disk.
start etcd etcd --data-dir "$run/etcd" --unsafe-no-fsync --log-level warn \
  --listen-client-urls http://127.0.0.1:12379 --advertise-client-urls http://127.0.0.1:12379 \
  --listen-peer-urls http://127.0.0.1:12380 --initial-advertise-peer-urls http://127.0.0.1:12380 \
  --initial-cluster default=http://127.0.0.1:12380
start kube-apiserver kube-apiserver --etcd-servers http://127.0.0.1:12379 \
  --bind-address "$node_ip" --advertise-address "$node_ip" --secure-port 6443 \
  --service-cluster-ip-range "$service_cidr" --service-node-port-range 30000-30999 \
  --authorization-mode Node,RBAC --enable-admission-plugins NodeRestriction --anonymous-auth=true \
  --client-ca-file pki/ca.crt --tls-cert-file pki/apiserver.crt --tls-private-key-file pki/apiserver.key \
  --kubelet-certificate-authority pki/ca.crt --kubelet-client-certificate pki/apiserver-kubelet.crt \
  --kubelet-client-key pki/apiserver-kubelet.key --kubelet-preferred-address-types InternalIP \
  --service-account-issuer "https://kubernetes.default.svc.$domain" \
  --service-account-key-file pki/sa.pub --service-account-signing-key-file pki/sa.key \
  --requestheader-client-ca-file pki/front-proxy-ca.crt --requestheader-allowed-names front-proxy-client \
  --requestheader-username-headers X-Remote-User --requestheader-group-headers X-Remote-Group \
  --requestheader-extra-headers-prefix X-Remote-Extra- --enable-aggregator-routing \
  --proxy-client-cert-file pki/front-proxy.crt --proxy-client-key-file pki/front-proxy.key
wait_for "API server ready" 120 kubectl get --raw /readyz
start kube-controller-manager kube-controller-manager --kubeconfig kube-controller-manager.conf \
  --authentication-kubeconfig kube-controller-manager.conf --authorization-kubeconfig kube-controller-manager.conf \
  --bind-address 127.0.0.1 --leader-elect=false --use-service-account-credentials \
  --service-account-private-key-file pki/sa.key --root-ca-file pki/ca.crt \
  --cluster-signing-cert-file pki/ca.crt --cluster-signing-key-file pki/ca.key \
  --cluster-cidr "$pod_cidr" --service-cluster-ip-range "$service_cidr" --allocate-node-cidrs=false
start kube-scheduler kube-scheduler --kubeconfig kube-scheduler.conf --leader-elect=false --bind-address 127.0.0.1 \
  --authentication-kubeconfig kube-scheduler.conf --authorization-kubeconfig kube-scheduler.conf
