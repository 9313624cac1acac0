{{/* What things are called, and the labels that they are found by. */}}

{{- define "m0club.name" -}}
{{- .Values.global.nameOverride | default .Release.Name | trunc 30 | trimSuffix "-" -}}
{{- end -}}

{{/* dict root, role */}}
{{- define "m0club.selector" -}}
app.kubernetes.io/name: m0club
app.kubernetes.io/instance: {{ .root.Release.Name }}
app.kubernetes.io/component: {{ .role }}
{{- end -}}

{{- define "m0club.labels" -}}
{{ include "m0club.selector" . }}
app.kubernetes.io/part-of: m0club
app.kubernetes.io/version: {{ .root.Values.global.imageTag | trunc 63 | quote }}
app.kubernetes.io/managed-by: {{ .root.Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .root.Chart.Name .root.Chart.Version }}
{{- end -}}

{{/* dict root, image, tag */}}
{{- define "m0club.image" -}}
{{- $tag := .tag | default .root.Values.global.imageTag -}}
{{- with .root.Values.global.imageRegistry }}{{ . }}/{{ end }}m0club/{{ .image }}:{{ required "global.imageTag is missing: set it to sha-<commit> or vX.Y.Z" $tag }}
{{- end -}}

{{/* The brokers; nothing where the settings file names them. */}}
{{- define "m0club.kafka" -}}
{{- if .Values.kafka.bootstrap -}}
{{ .Values.kafka.bootstrap }}
{{- else if .Values.servers.kafka.enabled -}}
{{ include "m0club.name" . }}-kafka:9092
{{- end -}}
{{- end -}}

{{- define "m0club.postgres" -}}{{ include "m0club.name" . }}-postgres:5432{{- end -}}

{{- define "m0club.redis" -}}redis://{{ include "m0club.name" . }}-valkey:6379/0{{- end -}}
