{{/* What pods of both roles have in common. All take root and role. */}}

{{/* Never root; what is mounted for the group can be read by it. Takes the root. */}}
{{- define "lectern.podSecurity" -}}
runAsNonRoot: true
{{- with int .Values.userId }}
runAsUser: {{ . }}
runAsGroup: {{ . }}
fsGroup: {{ . }}
fsGroupChangePolicy: OnRootMismatch
{{- end }}
seccompProfile: {type: RuntimeDefault}
{{- end -}}

{{- define "lectern.containerSecurity" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities: {drop: [ALL]}
{{- end -}}

{{/* Three questions that differ: has it started, does the process live, is it to be sent anybody. */}}
{{- define "lectern.probes" -}}
{{- $values := index .root.Values .role -}}
startupProbe:
  httpGet: {path: /healthz, port: ops}
  {{- toYaml $values.startupProbe | nindent 2 }}
livenessProbe:
  httpGet: {path: /healthz, port: ops}
  {{- toYaml $values.livenessProbe | nindent 2 }}
readinessProbe:
  httpGet: {path: /readyz, port: ops}
  {{- toYaml $values.readinessProbe | nindent 2 }}
{{- end -}}

{{- define "lectern.podMeta" -}}
{{- $values := index .root.Values .role -}}
annotations:
  {{- include "lectern.checksums" . | nindent 2 }}
  {{- with $values.podAnnotations }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
labels:
  {{- include "lectern.labels" . | nindent 2 }}
  {{- with $values.podLabels }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
{{- end -}}

{{/* Where a pod may be. A node port that does not leave its node wants one pod on each. */}}
{{- define "lectern.placement" -}}
{{- $values := index .root.Values .role -}}
{{- $affinity := $values.affinity -}}
{{- $daemon := and (eq .role "edge") (eq .root.Values.edge.kind "DaemonSet") -}}
{{- if and (eq $values.media.exposure "nodePort") (not $daemon) -}}
{{- $selector := include "lectern.selector" . | fromYaml -}}
{{- $apart := dict "labelSelector" (dict "matchLabels" $selector) "topologyKey" "kubernetes.io/hostname" -}}
{{- $given := dig "podAntiAffinity" "requiredDuringSchedulingIgnoredDuringExecution" list $affinity -}}
{{- $anti := dict "requiredDuringSchedulingIgnoredDuringExecution" (append $given $apart) -}}
{{- $affinity = mergeOverwrite (deepCopy $affinity) (dict "podAntiAffinity" $anti) -}}
{{- end -}}
{{- with $values.nodeSelector }}
nodeSelector:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with $values.tolerations }}
tolerations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with $affinity }}
affinity:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- if and $values.topologySpreadConstraints (not $daemon) }}
topologySpreadConstraints:
  {{- range $values.topologySpreadConstraints }}
  - {{ toYaml . | indent 4 | trim }}
    labelSelector:
      matchLabels:
        {{- include "lectern.selector" (dict "root" $.root "role" $.role) | nindent 8 }}
  {{- end }}
{{- end }}
{{- with $values.priorityClassName }}
priorityClassName: {{ . }}
{{- end }}
{{- end -}}

{{/* Mounts of the configuration and of what nodes know each other by. */}}
{{- define "lectern.mounts" -}}
- {name: config, mountPath: /etc/lectern/config, readOnly: true}
- {name: relay, mountPath: /etc/lectern/relay, readOnly: true}
{{- with (index .root.Values .role).extraVolumeMounts }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{- define "lectern.volumes" -}}
{{- $values := index .root.Values .role -}}
- name: config
  {{- if or $values.configInSecret $values.existingConfigSecret }}
  secret:
    secretName: {{ include "lectern.configName" . }}
    defaultMode: 0440
  {{- else }}
  configMap:
    name: {{ include "lectern.configName" . }}
  {{- end }}
# Mounted as directories, so that what is changed there is seen without a restart.
- name: relay
  projected:
    defaultMode: 0440
    sources:
      - secret:
          name: {{ include "lectern.relayTokenSecret" .root }}
          items: [{key: {{ include "lectern.relayTokenKey" .root }}, path: tokens}]
      - secret:
          name: {{ include "lectern.relayTlsSecret" .root }}
          items:
            {{- if eq .role "origin" }}
            - {key: tls.crt, path: tls.crt}
            - {key: tls.key, path: tls.key}
            {{- else }}
            - {key: ca.crt, path: ca.crt}
            {{- end }}
{{- with $values.extraVolumes }}
{{ toYaml . }}
{{- end }}
{{- end -}}
