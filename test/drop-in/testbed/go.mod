module svidecar.test/dropin

go 1.25.3

require github.com/spiffe/spiffe-helper v0.11.0
