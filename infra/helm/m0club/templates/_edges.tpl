{{/* What of the outside is reached. */}}

{{/* dict root, server → the addresses outside at which it is reached, as CIDRs with commas between; nothing: at none */}}
{{- define "m0club.cidrs" -}}
{{- $named := index .root.Values.networkPolicies .server -}}
{{- $prod := eq .root.Values.global.env "prod" -}}
{{- $v := .root.Values -}}
{{- if and (eq .server "archive") (not (hasPrefix "s3://" $v.archive.url)) -}}
{{- else if and (eq .server "cluster") (not (or $v.upgrade.rollSigners $v.bootstrap.keys $v.bootstrap.enabled)) -}}
{{- else if $named -}}
{{ join "," $named }}
{{- else if not $prod -}}
0.0.0.0/0
{{- else if ne .server "redis" -}}
{{- fail (printf "networkPolicies.%s is missing: in prod name the addresses outside that are reached, as CIDRs" .server) -}}
{{- end -}}
{{- end -}}

{{/* dict root, server → its ports there, with commas between: of what the values name, else the usual ones */}}
{{- define "m0club.ports" -}}
{{- $values := .root.Values -}}
{{- $usual := dict "kafka" (list 9092 9093) "postgres" (list 5432) "redis" (list 6379 6380) "rpc" (list 443 8899 8900) "archive" (list 443) "cluster" (list 443 6443) -}}
{{- $addresses := dict "kafka" (splitList "," $values.kafka.bootstrap) "rpc" (list $values.solana.rpcUrl $values.solana.wsUrl) "archive" (list $values.archive.endpoint) -}}
{{- $found := index $values.networkPolicies.ports .server -}}
{{- if not $found -}}
{{- range $address := get $addresses .server | default (list "") -}}
{{- if not $address -}}
{{- $found = concat $found (get $usual $.server) -}}
{{- else if contains "://" $address -}}
{{- $url := urlParse $address -}}
{{- $found = append $found (regexFind ":[0-9]+$" $url.host | trimPrefix ":" | default (ternary "443" "80" (has $url.scheme (list "https" "wss")))) -}}
{{- else -}}
{{- $found = append $found (regexFind ":[0-9]+$" $address | trimPrefix ":" | default "9092") -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- $ports := list -}}
{{- range $found -}}{{- $ports = append $ports (int . | toString) -}}{{- end -}}
{{- $ports | uniq | join "," -}}
{{- end -}}
