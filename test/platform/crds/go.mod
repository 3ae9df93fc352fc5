// Pins the projects whose custom resources the manifests are: their modules hold the definitions.
module svidecar.test/crds

go 1.26

require (
	github.com/kyverno/kyverno v1.19.1
	github.com/prometheus-operator/prometheus-operator v0.85.0
)
