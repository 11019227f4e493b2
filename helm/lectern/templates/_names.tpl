{{/* What objects are called, and how they are told apart. */}}

{{- define "lectern.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 40 | trimSuffix "-" -}}
{{- end -}}

{{/* Short enough that what is appended still fits into the 63 characters of a DNS label. */}}
{{- define "lectern.fullname" -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride | trunc 40 | trimSuffix "-" -}}
{{- else if contains (include "lectern.name" .) .Release.Name -}}
{{- .Release.Name | trunc 40 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name (include "lectern.name" .) | trunc 40 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}

{{/* By which pods of a role are selected: never changed, since selectors cannot be. Takes root and role. */}}
{{- define "lectern.selector" -}}
app.kubernetes.io/name: {{ include "lectern.name" .root }}
app.kubernetes.io/instance: {{ .root.Release.Name }}
app.kubernetes.io/component: {{ .role }}
{{- end -}}

{{- define "lectern.labels" -}}
{{ include "lectern.selector" . }}
app.kubernetes.io/version: {{ .root.Chart.AppVersion | quote }}
app.kubernetes.io/part-of: lectern
app.kubernetes.io/managed-by: {{ .root.Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .root.Chart.Name .root.Chart.Version | replace "+" "_" }}
{{- with .root.Values.commonLabels }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{- define "lectern.serviceAccount" -}}
{{- if .root.Values.serviceAccount.create -}}
{{- printf "%s-%s" (include "lectern.fullname" .root) .role -}}
{{- else -}}
{{- default "default" .root.Values.serviceAccount.name -}}
{{- end -}}
{{- end -}}

{{- define "lectern.image" -}}
{{- $own := (index .root.Values .role).image -}}
{{- $common := .root.Values.image -}}
{{- $repository := default $common.repository $own.repository -}}
{{- $digest := default (ternary "" $common.digest (ne $own.tag "")) $own.digest -}}
{{- if $digest -}}
{{- printf "%s@%s" $repository $digest -}}
{{- else -}}
{{- printf "%s:%s" $repository (default (default .root.Chart.AppVersion $common.tag) $own.tag) -}}
{{- end -}}
{{- end -}}

{{/* The name by which edges find every origin, which stands in the relay's certificate. */}}
{{- define "lectern.relayHost" -}}
{{- printf "%s-origin-relay.%s.svc.%s" (include "lectern.fullname" .) .Release.Namespace .Values.clusterDomain -}}
{{- end -}}

{{- define "lectern.relayTokenSecret" -}}
{{- default (printf "%s-relay-token" (include "lectern.fullname" .)) .Values.relay.token.existingSecret -}}
{{- end -}}

{{- define "lectern.relayTokenKey" -}}
{{- ternary .Values.relay.token.existingSecretKey "tokens" (ne .Values.relay.token.existingSecret "") -}}
{{- end -}}

{{- define "lectern.relayTlsSecret" -}}
{{- ternary .Values.relay.tls.existingSecret (printf "%s-relay-tls" (include "lectern.fullname" .)) (eq .Values.relay.tls.mode "existing") -}}
{{- end -}}

{{- define "lectern.databaseSecret" -}}
{{- default (printf "%s-database" (include "lectern.fullname" .)) .Values.database.existingSecret -}}
{{- end -}}

{{- define "lectern.databaseKey" -}}
{{- ternary .Values.database.existingSecretKey "url" (ne .Values.database.existingSecret "") -}}
{{- end -}}

{{/* The Secret of the certificate that browsers see of a role. Takes root and role. */}}
{{- define "lectern.certificateSecret" -}}
{{- $given := index .root.Values.certificates (printf "%sSecret" .role) -}}
{{- default (printf "%s-%s-tls" (include "lectern.fullname" .root) .role) $given -}}
{{- end -}}

{{- define "lectern.scheme" -}}
{{- $plain := and (eq .Values.certificates.mode "none") (not .Values.edge.httpRoute.enabled) -}}
{{- default (ternary "http" "https" $plain) .Values.edge.scheme -}}
{{- end -}}

{{/* Every name by which viewers come. */}}
{{- define "lectern.edgeHosts" -}}
{{- concat (list .Values.edge.host) .Values.edge.hosts | uniq | toJson -}}
{{- end -}}

{{/* A socket address. Takes root and port. */}}
{{- define "lectern.listen" -}}
{{- $host := .root.Values.listenAddress -}}
{{- printf "%s:%v" (ternary (printf "[%s]" $host) $host (contains ":" $host)) .port -}}
{{- end -}}
