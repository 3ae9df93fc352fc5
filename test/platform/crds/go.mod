// Pins the Prometheus Operator, whose module holds the definitions of its custom resources.
module svidecar.test/crds

go 1.26

require github.com/prometheus-operator/prometheus-operator v0.85.0
