//go:build tools

// Package testbed pins the program that the drop-in suites compare with.
package testbed

import (
	_ "github.com/spiffe/spiffe-helper/cmd/spiffe-helper"
)
