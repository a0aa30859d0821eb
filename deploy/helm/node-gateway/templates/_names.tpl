{{- define "node-gateway.selector" -}}
app: {{ .Values.name }}
{{- range $key, $value := .Values.gatewayLabels }}
{{ $key }}: {{ $value }}
{{- end }}
{{- end }}

{{- define "node-gateway.labels" -}}
app.kubernetes.io/name: node-gateway
{{ include "node-gateway.selector" . }}
{{- end }}

{{- define "node-gateway.image" -}}
{{- if .Values.image.digest -}}
{{ .Values.image.repository }}@{{ .Values.image.digest }}
{{- else -}}
{{ .Values.image.repository }}:{{ .Values.image.tag | default .Chart.AppVersion }}
{{- end }}
{{- end }}

{{- /* Labels in the daemon's form: key=value,key=value. */}}
{{- define "node-gateway.gatewayLabels" -}}
{{- $pairs := list }}
{{- range $key, $value := .Values.gatewayLabels }}{{ $pairs = append $pairs (printf "%s=%s" $key $value) }}{{ end }}
{{- join "," $pairs }}
{{- end }}

{{- define "node-gateway.podLabels" -}}
{{- $pairs := list (printf "app=%s" .Values.name) (include "node-gateway.gatewayLabels" .) }}
{{- range $key, $value := .Values.podLabels }}{{ $pairs = append $pairs (printf "%s=%s" $key $value) }}{{ end }}
{{- join "," $pairs }}
{{- end }}
