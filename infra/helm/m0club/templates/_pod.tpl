{{/* Parts of pods. */}}

{{- define "m0club.podSecurity" -}}
runAsNonRoot: true
runAsUser: 10001
runAsGroup: 10001
fsGroup: 10001
fsGroupChangePolicy: OnRootMismatch
seccompProfile: {type: RuntimeDefault}
{{- end -}}

{{- define "m0club.containerSecurity" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities: {drop: [ALL]}
{{- end -}}

{{/*
dict root, user, site, mounted: what every process of ours is told. With `site` its folder is one of `m0 keys init`, and the
record lies there unless it is `mounted`.
*/}}
{{- define "m0club.env" -}}
{{- $root := .root -}}
{{- $global := $root.Values.global -}}
- {name: M0_ENV, value: {{ $global.env }}}
- {name: M0_CONFIG_PATH, value: /etc/m0club/config/{{ $global.env }}.toml}
- {name: M0_LOG_LEVEL, value: {{ $global.logLevel }}}
- {name: M0_KEYS_DIR, value: /srv/m0club/keys}
- {name: M0_DEPLOYMENT_FILE, value: /srv/m0club/{{ ternary "" "deployment/" (and (eq .site true) (ne .mounted true)) }}deployment.json}
{{- with include "m0club.kafka" $root }}
- {name: M0_KAFKA_BOOTSTRAP, value: {{ . | quote }}}
{{- end }}
- {name: M0_KAFKA_SECURITY_PROTOCOL, value: {{ $root.Values.kafka.securityProtocol }}}
- {name: M0_KAFKA_SASL_MECHANISM, value: {{ $root.Values.kafka.saslMechanism }}}
- {name: M0_KAFKA_USERNAME, value: {{ .user }}}
- {name: M0_KAFKA_PASSWORD_FILE, value: /srv/m0club/keys/kafka{{ ternary "/" "." (eq .site true) }}{{ .user }}}
- {name: M0_KAFKA_SIGNERS, value: {{ $root.Values.signer.replicas | quote }}}
{{- with $root.Values.kafka.restoredEnds }}
- {name: M0_KAFKA_RESTORED_ENDS, value: {{ . | quote }}}
{{- end }}
{{- with $root.Values.kafka.caSecret }}
- {name: M0_KAFKA_SSL_CAFILE, value: /srv/m0club/kafka/ca.crt}
{{- end }}
{{- with $root.Values.solana.publicRpcUrl }}
- {name: M0_PUBLIC_RPC_URL, value: {{ . | quote }}}
{{- end }}
{{- with $root.Values.solana.publicWsUrl }}
- {name: M0_PUBLIC_WS_URL, value: {{ . | quote }}}
{{- end }}
{{- end -}}

{{/* root: the chain's node */}}
{{- define "m0club.envChain" -}}
{{- $name := include "m0club.name" . -}}
{{- range $variable, $at := dict "M0_RPC_URL" (list .Values.solana.rpcUrl (printf "http://%s-localnet:8899" $name)) "M0_WS_URL" (list .Values.solana.wsUrl (printf "ws://%s-localnet:8900" $name)) }}
{{- if index $at 0 }}
- {name: {{ $variable }}, value: {{ index $at 0 | quote }}}
{{- else if $.Values.servers.localnet.enabled }}
- {name: {{ $variable }}, value: {{ index $at 1 | quote }}}
{{- else }}
- name: {{ $variable }}
  valueFrom: {secretKeyRef: {name: {{ $.Values.global.secretName }}, key: {{ $variable }}}}
{{- end }}
{{- end }}
{{- end -}}

{{/* dict root: where the log is archived, for who writes or reads it */}}
{{- define "m0club.envArchive" -}}
{{- $archive := .root.Values.archive -}}
{{- if $archive.url }}
- {name: M0_ARCHIVE_URL, value: {{ $archive.url | quote }}}
{{- with $archive.endpoint }}
- {name: M0_ARCHIVE_ENDPOINT, value: {{ . | quote }}}
{{- end }}
{{- with $archive.region }}
- {name: M0_ARCHIVE_REGION, value: {{ . | quote }}}
{{- end }}
{{- if hasPrefix "s3://" $archive.url }}
{{- include "m0club.envSecrets" (dict "root" .root "secrets" (list "M0_ARCHIVE_ACCESS_KEY_ID?" "M0_ARCHIVE_SECRET_ACCESS_KEY?")) }}
{{- end }}
{{- end }}
{{- end -}}

{{/* root: the folder of an archive that is one, else nothing */}}
{{- define "m0club.archiveFolder" -}}
{{- if hasPrefix "file://" .Values.archive.url -}}{{ trimPrefix "file://" .Values.archive.url }}{{- end -}}
{{- end -}}

{{/* root: its volume */}}
{{- define "m0club.archiveVolume" -}}
- {name: archive, persistentVolumeClaim: {claimName: {{ include "m0club.name" . }}-archive}}
{{- end -}}

{{/* dict root, secrets */}}
{{- define "m0club.envSecrets" -}}
{{- range .secrets }}
- name: {{ trimSuffix "?" . }}
  valueFrom: {secretKeyRef: {name: {{ $.root.Values.global.secretName }}, key: {{ trimSuffix "?" . }}{{ if hasSuffix "?" . }}, optional: true{{ end }}}}
{{- end }}
{{- end -}}

{{- define "m0club.mounts" -}}
- {name: config, mountPath: /etc/m0club/config, readOnly: true}
- {name: deployment, mountPath: /srv/m0club/deployment, readOnly: true}
- {name: keys, mountPath: /srv/m0club/keys, readOnly: true}
- {name: tmp, mountPath: /tmp}
{{- if .Values.kafka.caSecret }}
- {name: kafka-ca, mountPath: /srv/m0club/kafka, readOnly: true}
{{- end }}
{{- end -}}

{{/* root: the volumes of the above, but for keys, which are each role's own */}}
{{- define "m0club.volumes" -}}
- name: config
  configMap:
    name: {{ .Values.global.configMapName }}
    items:
{{- range $path, $_ := include "m0club.configFiles" . | fromYaml }}
      - {key: {{ include "m0club.configKey" $path }}, path: {{ $path }}}
{{- end }}
{{ include "m0club.record" (dict "root" .) }}
- {name: tmp, emptyDir: {sizeLimit: 256Mi}}
{{- with .Values.kafka.caSecret }}
- {name: kafka-ca, secret: {secretName: {{ . }}, items: [{key: ca.crt, path: ca.crt}]}}
{{- end }}
{{- end -}}

{{/*
dict root, early: the deployment's record. Where it is made here pods wait for it: who began without would have it minutes
later. With `early` it may be missing all the same.
*/}}
{{- define "m0club.record" -}}
- name: deployment
  configMap: {name: {{ .root.Values.global.deploymentName }}{{ if or .early (not .root.Values.bootstrap.enabled) }}, optional: true{{ end }}}
{{- end -}}

{{- define "m0club.configKey" -}}{{ replace "/" "." . }}{{- end -}}

{{/* root → path: text, of the chart's files with those of the values over them */}}
{{- define "m0club.configFiles" -}}
{{- $found := dict -}}
{{- range $path, $_ := .Files.Glob "files/config/**.toml" }}
{{- $_ := set $found (trimPrefix "files/config/" $path) ($.Files.Get $path) -}}
{{- end -}}
{{- range $path, $text := .Values.config }}
{{- $_ := set $found $path $text -}}
{{- end -}}
{{- $found | toYaml -}}
{{- end -}}

{{/* root: probes on 9464 */}}
{{- define "m0club.probes" -}}
startupProbe:
  httpGet: {path: /health, port: status}
  periodSeconds: 2
  timeoutSeconds: 3
  failureThreshold: {{ div .Values.pod.startupSeconds 2 }}
livenessProbe:
  httpGet: {path: /health, port: status}
  periodSeconds: 10
  timeoutSeconds: 5
  failureThreshold: 6
readinessProbe:
  httpGet: {path: /ready, port: status}
  periodSeconds: 2
  timeoutSeconds: 3
  failureThreshold: 2
{{- end -}}

{{/* root: what of a pod's surroundings is the same for all; dict root, values, role */}}
{{- define "m0club.placement" -}}
{{- $pod := .root.Values.pod -}}
{{- with .root.Values.global.imagePullSecrets }}
imagePullSecrets: {{- toYaml . | nindent 2 }}
{{- end }}
{{- with $pod.priorityClassName }}
priorityClassName: {{ . }}
{{- end }}
{{- with .values.nodeSelector | default $pod.nodeSelector }}
nodeSelector: {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .values.tolerations | default $pod.tolerations }}
tolerations: {{- toYaml . | nindent 2 }}
{{- end }}
topologySpreadConstraints:
{{- range $key := list "topology.kubernetes.io/zone" "kubernetes.io/hostname" }}
  - maxSkew: 1
    topologyKey: {{ $key }}
    whenUnsatisfiable: {{ ternary "DoNotSchedule" "ScheduleAnyway" (and $.root.Values.pod.spreadStrictly (hasSuffix "zone" $key)) }}
    labelSelector:
      matchLabels: {{- include "m0club.selector" $ | nindent 8 }}
{{- end }}
{{- end -}}

{{/*
The template of a pod with one process of ours. dict:
root, role, values   as elsewhere; `role` names the container
image, tag           of m0club/IMAGE
user                 of Kafka, and the name of its Secret of keys
labels               besides those of the role
reaches              what it opens connections to
chain, secrets, env  what it is told besides
port                 that it serves besides 9464
home                 the volume that it keeps things in, where a claim of that name is not made elsewhere
control              whether it has the control key, and of other keys its login to Kafka alone
archive              whether it writes the archive
*/}}
{{- define "m0club.process" -}}
{{- $root := .root -}}
{{- $pod := $root.Values.pod -}}
metadata:
  labels:
    {{- include "m0club.labels" . | nindent 4 }}
    {{- with .labels }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
    m0club.io/serves: status
    {{- range $reached := .reaches }}
    m0club.io/reaches-{{ $reached }}: "true"
    {{- end }}
    {{- with $pod.labels }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
  annotations:
    m0club.io/config: {{ include "m0club.configFiles" $root | sha256sum | trunc 16 | quote }}
    {{- with merge (deepCopy (.values.annotations | default dict)) $pod.annotations }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
spec:
  serviceAccountName: {{ include "m0club.name" $root }}-{{ .role }}
  automountServiceAccountToken: {{ hasKey $root.Values.serviceAccount.annotations .role }}
  enableServiceLinks: false
  terminationGracePeriodSeconds: {{ $pod.terminationGracePeriodSeconds }}
  securityContext: {{- include "m0club.podSecurity" $root | nindent 4 }}
  {{- include "m0club.placement" . | nindent 2 }}
  containers:
    - name: {{ .role }}
      image: {{ include "m0club.image" . }}
      imagePullPolicy: {{ $root.Values.global.imagePullPolicy }}
      env:
        {{- include "m0club.env" . | nindent 8 }}
        {{- if .chain }}
        {{- include "m0club.envChain" $root | nindent 8 }}
        {{- end }}
        {{- if .secrets }}
        {{- include "m0club.envSecrets" . | nindent 8 }}
        {{- end }}
        {{- if .archive }}
        {{- include "m0club.envArchive" . | nindent 8 }}
        {{- end }}
        {{- with concat (.env | default list) $pod.extraEnv (.values.extraEnv | default list) }}
        {{- toYaml . | nindent 8 }}
        {{- end }}
      ports:
        - {name: status, containerPort: 9464}
        {{- with .port }}
        - {name: public, containerPort: {{ . }}}
        {{- end }}
      {{- include "m0club.probes" $root | nindent 6 }}
      {{- if .port }}
      lifecycle: {preStop: {exec: {command: [python3, -c, "import time; time.sleep({{ $pod.preStopSeconds }})"]}}}
      {{- end }}
      resources: {{- toYaml .values.resources | nindent 8 }}
      securityContext: {{- include "m0club.containerSecurity" $root | nindent 8 }}
      volumeMounts:
        {{- include "m0club.mounts" $root | nindent 8 }}
        - {name: {{ .home }}, mountPath: /var/lib/m0}
        {{- $folder := ternary (include "m0club.archiveFolder" $root) "" (eq .archive true) }}
        {{- with $folder }}
        - {name: archive, mountPath: {{ . }}}
        {{- end }}
        {{- if .control }}
        - {name: control, mountPath: /srv/m0club/control, readOnly: true}
        {{- end }}
        {{- with $pod.extraVolumeMounts }}
        {{- toYaml . | nindent 8 }}
        {{- end }}
  volumes:
    {{- include "m0club.volumes" $root | nindent 4 }}
    {{- if eq .home "home" }}
    - {name: home, emptyDir: {sizeLimit: 1Gi}}
    {{- end }}
    {{- if $folder }}
    {{- include "m0club.archiveVolume" $root | nindent 4 }}
    {{- end }}
    {{- $keys := printf "%s-%s" $root.Values.global.keysPrefix .user }}
    {{- if .control }}
    - {name: keys, secret: {secretName: {{ $keys }}, defaultMode: 0440, items: [{key: kafka.{{ .user }}, path: kafka.{{ .user }}}]}}
    - {name: control, secret: {secretName: {{ $root.Values.global.keysPrefix }}-control, defaultMode: 0440}}
    {{- else }}
    - {name: keys, secret: {secretName: {{ $keys }}, defaultMode: 0440}}
    {{- end }}
    {{- with $pod.extraVolumes }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
{{- end -}}
