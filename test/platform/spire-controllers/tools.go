//go:build tools

// Package controllers pins the controllers that make registration entries of ClusterSPIFFEIDs.
package controllers

import (
	_ "github.com/spiffe/spire-controller-manager/cmd"
)
