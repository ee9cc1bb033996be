# shellcheck shell=bash
# shellcheck disable=SC2154 # the variables are those of environment.sh
# Certificates and kubeconfig files, made once for a cluster's state. Sourced by up.sh, in $run.
# Python 3.13 verifies strictly: an authority needs keyUsage, a certificate the identifiers of its keys.

umask 077
new_key=(-newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes)

authority() { # authority NAME
  [ -f "pki/$1.crt" ] || openssl req -x509 "${new_key[@]}" -days 3650 -subj "/CN=$1" \
    -addext keyUsage=critical,keyCertSign,cRLSign -keyout "pki/$1.key" -out "pki/$1.crt" 2>/dev/null
}

certificate() { # certificate NAME SUBJECT AUTHORITY USAGE [ALTERNATIVE NAMES]
  [ -f "pki/$1.crt" ] && return
  openssl req "${new_key[@]}" -subj "$2" -keyout "pki/$1.key" -out "pki/$1.csr" 2>/dev/null
  printf '%s\n' keyUsage=critical,digitalSignature "extendedKeyUsage=$4" authorityKeyIdentifier=keyid \
    subjectKeyIdentifier=hash ${5:+"subjectAltName=$5"} >"pki/$1.ext"
  openssl x509 -req -in "pki/$1.csr" -CA "pki/$3.crt" -CAkey "pki/$3.key" -CAcreateserial -days 3650 \
    -extfile "pki/$1.ext" -out "pki/$1.crt" 2>/dev/null
}

client() { # client NAME SUBJECT: a certificate, and the kubeconfig file NAME.conf that uses it
  certificate "$1" "$2" ca clientAuth
  user=$1 authority=$(base64 -w0 pki/ca.crt) certificate=$(base64 -w0 "pki/$1.crt") key=$(base64 -w0 "pki/$1.key") \
    envsubst <"$here/config/kubeconfig.yaml" >"$1.conf"
}

authority ca
authority front-proxy-ca
api_names=DNS:localhost
for name in kubernetes kubernetes.default kubernetes.default.svc "kubernetes.default.svc.$domain"; do
  api_names+=,DNS:$name
done
certificate apiserver /CN=kube-apiserver ca serverAuth "IP:$node_ip,IP:127.0.0.1,IP:$api_service_ip,$api_names"
certificate kubelet-server "/CN=$node" ca serverAuth "IP:$node_ip,DNS:$node"
certificate apiserver-kubelet /O=system:masters/CN=kube-apiserver-kubelet-client ca clientAuth
certificate front-proxy /CN=front-proxy-client front-proxy-ca clientAuth
client admin /O=system:masters/CN=admin
client kubelet "/O=system:nodes/CN=system:node:$node"
for name in kube-controller-manager kube-scheduler kube-proxy; do
  client "$name" "/CN=system:$name"
done
if [ ! -f pki/sa.pub ]; then
  openssl genrsa -out pki/sa.key 2048 2>/dev/null
  openssl rsa -in pki/sa.key -pubout -out pki/sa.pub 2>/dev/null
fi
umask 022 # a containerd or kubelet with 077 makes container roots that only root may enter
