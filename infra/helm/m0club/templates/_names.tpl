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

{{/* dict root, image, tag → its name, with its digest where global.imageDigests has one */}}
{{- define "m0club.image" -}}
{{- $global := .root.Values.global -}}
{{- $tag := .tag | default $global.imageTag | required "global.imageTag is missing: set it to sha-<commit> or vX.Y.Z" -}}
{{- $digest := get $global.imageDigests (printf "%s:%s" .image $tag) -}}
{{- with $global.imageRegistry }}{{ . }}/{{ end }}m0club/{{ .image }}:{{ $tag }}{{ with $digest }}@{{ . }}{{ end }}
{{- end -}}

{{/* The brokers; nothing where the settings file names them. */}}
{{- define "m0club.kafka" -}}
{{- if .Values.kafka.bootstrap -}}
{{ .Values.kafka.bootstrap }}
{{- else if .Values.servers.kafka.enabled -}}
{{ include "m0club.name" . }}-kafka:9092
{{- end -}}
{{- end -}}

{{/* Where every process says its metrics, with commas between. */}}
{{- define "m0club.metrics" -}}
{{- $name := include "m0club.name" . -}}
{{- $found := list -}}
{{- range $role, $spec := include "m0club.roles" . | fromYaml -}}
{{- $values := include "m0club.values" (dict "root" $ "role" $role "spec" $spec) | fromYaml -}}
{{- if gt (int $values.replicas) 0 -}}
{{- $found = append $found (printf "http://%s-%s:9464" $name $role) -}}
{{- end -}}
{{- end -}}
{{- range $number := untilStep 1 (int (add1 .Values.signer.replicas)) 1 -}}
{{- $found = append $found (printf "http://%s-signer-%d-0.%s-signer:9464" $name $number $name) -}}
{{- end -}}
{{- join "," $found -}}
{{- end -}}

{{- define "m0club.postgres" -}}{{ include "m0club.name" . }}-postgres:5432{{- end -}}

{{- define "m0club.redis" -}}redis://{{ include "m0club.name" . }}-valkey:6379/0{{- end -}}
