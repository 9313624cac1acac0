{{/*
The table of roles: what each runs, holds and reaches. To add a service, add a row here and its values.

image    m0club/IMAGE
kind     the values of its kind (engine's are of every lane)
user     of Kafka, and the name of its Secret of keys
secrets  of global.secretName, by name; ? at the end: where it is there
reaches  what it opens connections to
port     that it serves besides 9464
archive  whether it writes the archive
*/}}
{{- define "m0club.roles" -}}
ingest: {kind: ingest, user: ingest, secrets: [M0_PG_DSN], reaches: [kafka, postgres, rpc, internet], chain: true}
normalize: {kind: engine, user: normalize, reaches: [kafka], lane: true}
feature: {kind: engine, user: feature, reaches: [kafka], lane: true}
model: {kind: engine, user: model, reaches: [kafka], lane: true}
bundle: {kind: engine, user: bundle, reaches: [kafka], lane: true}
indexer: {kind: indexer, user: indexer, secrets: [M0_PG_DSN], reaches: [kafka, postgres, rpc], chain: true}
api: {kind: api, user: api, secrets: [M0_PG_DSN, "M0_REDIS_URL?", "M0_JWT_SECRET?", "M0_API_KEYS?"], reaches: [postgres, redis], port: 8080}
realtime: {kind: realtime, user: realtime, reaches: [kafka], port: 8090}
jobs: {kind: jobs, user: jobs, secrets: [M0_PG_DSN], reaches: [kafka, postgres, rpc, archive], chain: true, archive: true}
warden: {kind: warden, user: operator, reaches: [kafka], control: true}
{{- end -}}

{{/* root → who has a service account that stays: roles, servers, and commands */}}
{{- define "m0club.accounts" -}}
{{- concat (keys (include "m0club.roles" . | fromYaml)) (list "signer" "server" "command") | sortAlpha | toYaml -}}
{{- end -}}

{{/* dict root, role, spec → the values of a role, over those of its kind */}}
{{- define "m0club.values" -}}
{{- $kind := index .root.Values .spec.kind -}}
{{- $own := dict -}}
{{- if .spec.lane }}{{ $own = index $kind .role | default dict }}{{ end -}}
{{- mergeOverwrite (deepCopy (omit $kind "normalize" "feature" "model" "bundle")) $own | toYaml -}}
{{- end -}}

{{/* dict root, role, spec, values → what says how many replicas it has instead of its values: "cpu", "lag" or nothing */}}
{{- define "m0club.scaler" -}}
{{- if eq (int .values.replicas) 0 -}}
{{- else if dig "autoscaling" "enabled" false .values -}}cpu
{{- else if and .root.Values.keda.enabled (or .spec.lane (eq .role "ingest")) -}}lag
{{- end -}}
{{- end -}}

{{/* The releases of lanes: one without an id, unless several are named. */}}
{{- define "m0club.releases" -}}
{{- $ids := list -}}
{{- range .Values.releases -}}
{{- if has .id $ids -}}
{{- fail (printf "releases: id %s is named twice: two images with one id hold the same releases, leave one of them out" .id) -}}
{{- end -}}
{{- $ids = append $ids .id -}}
{{- end -}}
{{- .Values.releases | default (list (dict "tag" .Values.global.imageTag "id" "")) | toYaml -}}
{{- end -}}
