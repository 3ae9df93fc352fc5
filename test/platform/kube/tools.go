//go:build tools

// Package kube pins the Kubernetes programs that the manifests are validated by.
package kube

import (
	_ "k8s.io/kubernetes/cmd/kube-apiserver"
	_ "k8s.io/kubernetes/cmd/kubectl"
)
