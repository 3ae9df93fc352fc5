{{/*
The parts of a pod. Your chart includes them with the context of this one, `.Subcharts.svidecar`; ../../example shows where.
../../components/sidecar/sidecar.yaml says why of each line.
*/}}

{{- define "svidecar.labels" -}}
svidecar: enabled
{{- end -}}

{{- define "svidecar.configMap" -}}
{{ .Release.Name }}-svidecar
{{- end -}}

{{- define "svidecar.supplementalGroup" -}}
65532
{{- end -}}

{{/* The first item of initContainers. Helm looks at kubeVersion of the outermost chart alone. */}}
{{- define "svidecar.container" -}}
{{- if semverCompare "<1.29.0-0" .Capabilities.KubeVersion.Version }}
{{- fail "svidecar is a native sidecar, which takes Kubernetes 1.29" }}
{{- end -}}
- name: svidecar
  {{- with .Values.image }}
  image: {{ .repository }}{{ if .digest }}@{{ .digest }}{{ else }}:{{ .tag | default $.Chart.AppVersion }}{{ end }}
  {{- end }}
  args: [run, --config, /etc/svidecar/config.yaml]
  restartPolicy: Always
  env:
    - { name: SPIFFE_ENDPOINT_SOCKET, value: "unix:///spiffe-workload-api/spire-agent.sock" }
    - { name: SVIDECAR_RUNTIME_DIR, value: /run/svidecar/daemon }
  ports: [{ name: sp-metrics, containerPort: 9913 }]
  startupProbe: { httpGet: { path: /startupz, port: sp-metrics }, periodSeconds: 1, failureThreshold: 3600 }
  readinessProbe: { httpGet: { path: /readyz, port: sp-metrics }, periodSeconds: 5 }
  livenessProbe: { httpGet: { path: /livez, port: sp-metrics }, periodSeconds: 10, timeoutSeconds: 5, failureThreshold: 6 }
  resources: {{ toYaml .Values.resources | nindent 4 }}
  terminationMessagePolicy: FallbackToLogsOnError
  securityContext:
    runAsNonRoot: true
    runAsUser: 65532
    runAsGroup: 65532
    allowPrivilegeEscalation: false
    readOnlyRootFilesystem: true
    capabilities: { drop: [ALL] }
    seccompProfile: { type: RuntimeDefault }
  volumeMounts:
    - { name: spiffe-workload-api, mountPath: /spiffe-workload-api, readOnly: true }
    - { name: svidecar-config, mountPath: /etc/svidecar, readOnly: true }
    - { name: runtime, mountPath: /run/svidecar }
{{- end -}}

{{/* Items of the pod's volumes. */}}
{{- define "svidecar.volumes" -}}
- { name: spiffe-workload-api, csi: { driver: csi.spiffe.io, readOnly: true } }
- { name: svidecar-config, configMap: { name: {{ include "svidecar.configMap" . }} } }
- { name: runtime, emptyDir: { medium: Memory, sizeLimit: 1Mi } }
{{- end -}}

{{/* Items of the env of each container that calls AWS. */}}
{{- define "svidecar.env" -}}
- { name: AWS_REGION, value: {{ .Values.region }} }
- { name: AWS_CONTAINER_CREDENTIALS_FULL_URI, value: "http://{{ .Values.config.container_endpoint.listen }}/v1/credentials" }
- { name: AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE, value: /run/svidecar/daemon/{{ .Values.consumer }}.token }
{{- end -}}

{{/* Items of their volumeMounts. */}}
{{- define "svidecar.volumeMounts" -}}
- { name: runtime, mountPath: /run/svidecar, readOnly: true }
{{- end -}}
