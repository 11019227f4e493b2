{{/* The configuration file of a role, as it is given. Takes root and role. */}}
{{- define "lectern.config" -}}
{{- $values := index .root.Values .role -}}
{{- $values.config -}}
{{- end -}}

{{/* The ConfigMap or Secret of a role's configuration. */}}
{{- define "lectern.configName" -}}
{{- $values := index .root.Values .role -}}
{{- default (printf "%s-%s" (include "lectern.fullname" .root) .role) $values.existingConfigSecret -}}
{{- end -}}

{{- define "lectern.configObject" -}}
{{- $values := index .root.Values .role -}}
{{- if not $values.existingConfigSecret -}}
apiVersion: v1
kind: {{ ternary "Secret" "ConfigMap" $values.configInSecret }}
metadata:
  name: {{ include "lectern.configName" . }}
  namespace: {{ .root.Release.Namespace }}
  labels:
    {{- include "lectern.labels" . | nindent 4 }}
{{- if $values.configInSecret }}
type: Opaque
data:
  lectern.toml: {{ include "lectern.config" . | b64enc | quote }}
{{- else }}
data:
  {{- dict "lectern.toml" (include "lectern.config" .) | toYaml | nindent 2 }}
{{- end }}
{{- end }}
{{- end -}}

{{/* What changes a pod when it changes: the configuration, and what the chart puts into Secrets that are not read
again. Takes root and role. */}}
{{- define "lectern.checksums" -}}
checksum/config: {{ include "lectern.config" . | sha256sum }}
{{- if and (eq .role "origin") .root.Values.database.url }}
checksum/database: {{ .root.Values.database.url | sha256sum }}
{{- end }}
{{- end -}}

{{/* Where an init container writes the addresses that it finds. */}}
{{- define "lectern.addressFile" -}}
/run/lectern/addresses/media
{{- end -}}

{{/* Under which addresses the media port of a role is reached, as environment. Takes root and role. */}}
{{- define "lectern.addressEnv" -}}
{{- $media := (index .root.Values .role).media -}}
{{- $key := printf "LECTERN_%s__MEDIA_ADDRESSES" (upper .role) -}}
{{- if eq $media.addressSource "list" }}
- name: {{ $key }}
  value: {{ $media.addresses | toJson | quote }}
{{- else if eq $media.addressSource "hostIP" }}
- name: NODE_ADDRESS
  valueFrom: {fieldRef: {fieldPath: status.hostIP}}
- name: {{ $key }}
  value: '["$(NODE_ADDRESS)"]'
{{- else if eq $media.addressSource "hostIPs" }}
# Several are separated by commas, which makes a list of them between brackets.
- name: NODE_ADDRESSES
  valueFrom: {fieldRef: {fieldPath: status.hostIPs}}
- name: {{ $key }}
  value: '[$(NODE_ADDRESSES)]'
{{- else if eq $media.addressSource "externalIP" }}
- name: {{ $key }}_FILE
  value: {{ include "lectern.addressFile" . }}
{{- end }}
{{- end -}}
