.PHONY: cluster-up cluster-down cluster-build images kind-up

cluster-build: ; k8s/local/packages.sh && k8s/local/build.sh
cluster-up: ; k8s/local/up.sh
cluster-down: ; k8s/local/down.sh
images: ; k8s/images.sh
kind-up: ; k8s/kind_up.sh
