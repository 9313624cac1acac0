{{/* A pod of the command. dict root, role, user, args, chain, secrets, keys (list of volume sources), reaches, account, token, site, control, config */}}
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
  containers:
    - name: m0
      image: {{ include "m0club.image" (dict "root" $root "image" "m0" "tag" "") }}
      imagePullPolicy: {{ $root.Values.global.imagePullPolicy }}
      args: {{- toYaml .args | nindent 8 }}
      env:
        {{- include "m0club.env" (dict "root" $root "user" .user "site" .site) | nindent 8 }}
        {{- if .chain }}
        {{- include "m0club.envChain" $root | nindent 8 }}
        {{- end }}
        {{- include "m0club.envSecrets" (dict "root" $root "secrets" .secrets) | nindent 8 }}
      resources: {requests: {cpu: 50m, memory: 128Mi}, limits: {cpu: 1000m, memory: 512Mi}}
      securityContext: {{- include "m0club.containerSecurity" $root | nindent 8 }}
      volumeMounts:
        - {name: home, mountPath: /var/lib/m0}
        - {name: site, mountPath: /srv/m0club}
        - {name: tmp, mountPath: /tmp}
        {{- if .keys }}
        - {name: config, mountPath: /etc/m0club/config, readOnly: true}
        - {name: keys, mountPath: /srv/m0club/keys, readOnly: true}
        {{- end }}
        {{- if .control }}
        - {name: control, mountPath: /srv/m0club/control, readOnly: true}
        {{- end }}
        {{- if $root.Values.kafka.caSecret }}
        - {name: kafka-ca, mountPath: /srv/m0club/kafka, readOnly: true}
        {{- end }}
  volumes:
    - {name: home, emptyDir: {sizeLimit: 256Mi}}
    - {name: site, emptyDir: {sizeLimit: 64Mi}}
    - {name: tmp, emptyDir: {sizeLimit: 256Mi}}
    {{- if .keys }}
    - name: config
      configMap:
        name: {{ .config | default $root.Values.global.configMapName }}
        items:
        {{- range $path, $_ := include "m0club.configFiles" $root | fromYaml }}
          - {key: {{ include "m0club.configKey" $path }}, path: {{ $path }}}
        {{- end }}
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
