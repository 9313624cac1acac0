{{/*
A pod of the command. dict:
root, role      as elsewhere
user            of Kafka
command, args   of the container
first           {name, args} of a container that has to succeed before it, with the record mounted
restart         of the pod, Never
chain           whether it is told where the node is
secrets, env    what else it is told
keys            sources of the volume with its keys; none: it has none
site            whether those lie as `m0 keys init` lays them
mounted         whether the deployment's record is mounted, instead of written
early           whether it runs before there is a record, too
control         whether it has the control key
tag             of the image, where it is not global.imageTag
archive         "reads" or "writes" it
values          whether it has what Helm was told, in /etc/m0club/values
config          another ConfigMap with the settings, which it has with keys or the archive alone
account, token  its service account, and whether it is told its token
reaches         what it opens connections to
*/}}
{{- define "m0club.command" -}}
{{- $root := .root -}}
metadata:
  labels:
    {{- include "m0club.labels" (dict "root" $root "role" .role) | nindent 4 }}
    {{- range $reached := .reaches }}
    m0club.io/reaches-{{ $reached }}: "true"
    {{- end }}
spec:
  restartPolicy: {{ .restart | default "Never" }}
  serviceAccountName: {{ .account }}
  automountServiceAccountToken: {{ .token | default false }}
  enableServiceLinks: false
  securityContext: {{- include "m0club.podSecurity" $root | nindent 4 }}
  {{- with $root.Values.global.imagePullSecrets }}
  imagePullSecrets: {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- with .first }}
  initContainers:
    - {{- include "m0club.commandContainer" (merge (dict "name" .name "args" .args "mounted" true) $) | nindent 6 }}
  {{- end }}
  containers:
    - {{- include "m0club.commandContainer" (merge (dict "name" "m0") .) | nindent 6 }}
  volumes:
    - {name: home, emptyDir: {sizeLimit: 256Mi}}
    - {name: site, emptyDir: {sizeLimit: 64Mi}}
    - {name: tmp, emptyDir: {sizeLimit: 256Mi}}
    {{- if or .mounted .first }}
    {{- include "m0club.record" (dict "root" $root "early" .early) | nindent 4 }}
    {{- end }}
    {{- if and .archive (include "m0club.archiveFolder" $root) }}
    {{- include "m0club.archiveVolume" $root | nindent 4 }}
    {{- end }}
    {{- if .values }}
    - {name: values, configMap: {name: {{ include "m0club.name" $root }}-values}}
    {{- end }}
    {{- if or .keys .archive }}
    - name: config
      configMap:
        name: {{ .config | default $root.Values.global.configMapName }}
        items:
        {{- range $path, $_ := include "m0club.configFiles" $root | fromYaml }}
          - {key: {{ include "m0club.configKey" $path }}, path: {{ $path }}}
        {{- end }}
    {{- end }}
    {{- if .keys }}
    - name: keys
      projected:
        defaultMode: 0440
        sources: {{- toYaml .keys | nindent 10 }}
    {{- end }}
    {{- if .control }}
    - {name: control, secret: {secretName: {{ $root.Values.global.keysPrefix }}-control, defaultMode: 0440}}
    {{- end }}
    {{- with $root.Values.kafka.caSecret }}
    - {name: kafka-ca, secret: {secretName: {{ . }}, items: [{key: ca.crt, path: ca.crt}]}}
    {{- end }}
{{- end -}}

{{/* Its container: the same dict, and its name */}}
{{- define "m0club.commandContainer" -}}
{{- $root := .root -}}
name: {{ .name }}
image: {{ include "m0club.image" (dict "root" $root "image" "m0" "tag" (.tag | default "")) }}
imagePullPolicy: {{ $root.Values.global.imagePullPolicy }}
{{- with .command }}
command: {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .args }}
args: {{- toYaml . | nindent 2 }}
{{- end }}
env:
  {{- include "m0club.env" . | nindent 2 }}
  {{- if .chain }}
  {{- include "m0club.envChain" $root | nindent 2 }}
  {{- end }}
  {{- include "m0club.envSecrets" (dict "root" $root "secrets" .secrets) | nindent 2 }}
  {{- if .archive }}
  {{- include "m0club.envArchive" . | nindent 2 }}
  {{- end }}
  {{- with .env }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
resources: {requests: {cpu: 50m, memory: 128Mi}, limits: {cpu: 1000m, memory: 512Mi}}
securityContext: {{- include "m0club.containerSecurity" $root | nindent 2 }}
volumeMounts:
  - {name: home, mountPath: /var/lib/m0}
  - {name: site, mountPath: /srv/m0club}
  - {name: tmp, mountPath: /tmp}
  {{- if .mounted }}
  - {name: deployment, mountPath: /srv/m0club/deployment, readOnly: true}
  {{- end }}
  {{- if and .archive (include "m0club.archiveFolder" $root) }}
  - {name: archive, mountPath: {{ include "m0club.archiveFolder" $root }}, readOnly: {{ ne .archive "writes" }}}
  {{- end }}
  {{- if .values }}
  - {name: values, mountPath: /etc/m0club/values, readOnly: true}
  {{- end }}
  {{- if or .keys .archive }}
  - {name: config, mountPath: /etc/m0club/config, readOnly: true}
  {{- end }}
  {{- if .keys }}
  - {name: keys, mountPath: /srv/m0club/keys, readOnly: true}
  {{- end }}
  {{- if .control }}
  - {name: control, mountPath: /srv/m0club/control, readOnly: true}
  {{- end }}
  {{- if $root.Values.kafka.caSecret }}
  - {name: kafka-ca, mountPath: /srv/m0club/kafka, readOnly: true}
  {{- end }}
{{- end -}}

{{/*
Every Secret of keys as sources of one volume, laid as `m0 keys init` lays them: passwords of Kafka, and with `keys` what
else bootstrap needs. dict root, keys
*/}}
{{- define "m0club.keySources" -}}
{{- $files := dict
  "servers" (list "kafka.admin")
  "operator" (list "kafka.operator")
  "ingest" (ternary (list "registrar.json" "clock.json" "registry.json" "kafka.ingest") (list "kafka.ingest") .keys)
  "jobs" (ternary (list "resolver.json" "kafka.jobs") (list "kafka.jobs") .keys)
-}}
{{- if .keys -}}
{{- $_ := set $files "chain" (list "admin.json" "guardian.json" "program-oracle.json" "program-registry.json") -}}
{{- end -}}
{{- range $user := list "normalize" "feature" "model" "bundle" "indexer" "api" "realtime" -}}
{{- $_ := set $files $user (list (printf "kafka.%s" $user)) -}}
{{- end -}}
{{- range $number := untilStep 1 (int (add1 .root.Values.signer.replicas)) 1 -}}
{{- $name := printf "signer-%d" $number -}}
{{- $_ := set $files $name (ternary (list (printf "%s.json" $name) (printf "kafka.%s" $name)) (list (printf "kafka.%s" $name)) $.keys) -}}
{{- end -}}
{{- $sources := list -}}
{{- range $holder, $names := $files -}}
{{- $items := list -}}
{{- range $name := $names -}}
{{- $items = append $items (dict "key" $name "path" (ternary (replace "kafka." "kafka/" $name) $name (hasPrefix "kafka." $name))) -}}
{{- end -}}
{{- $sources = append $sources (dict "secret" (dict "name" (printf "%s-%s" $.root.Values.global.keysPrefix $holder) "items" $items)) -}}
{{- end -}}
{{- $sources | toYaml -}}
{{- end -}}
