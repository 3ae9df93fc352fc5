//go:build tools

// Package kyverno pins the Kyverno that the policies are tried by.
package kyverno

import _ "github.com/kyverno/kyverno/cmd/cli/kubectl-kyverno"
