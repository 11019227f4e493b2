{{/* The Services of a role's media port. Takes root, role, replicas and tcp. One pod behind each address: a viewer's
packets must reach the very pod that answered, and no balancer knows which that is. */}}
{{- define "lectern.mediaServices" -}}
{{- $media := (index .root.Values .role).media -}}
{{- $name := printf "%s-%s" (include "lectern.fullname" .root) .role -}}
{{- if eq $media.exposure "nodePort" }}
---
# "Local" never leaves the node, on which there is one pod. Also while it drains: those who are there go on.
apiVersion: v1
kind: Service
metadata:
  name: {{ $name }}-media
  namespace: {{ .root.Release.Namespace }}
  labels:
    {{- include "lectern.labels" . | nindent 4 }}
  {{- with $media.service.annotations }}
  annotations:
    {{- toYaml . | nindent 4 }}
  {{- end }}
spec:
  type: NodePort
  externalTrafficPolicy: Local
  publishNotReadyAddresses: true
  selector:
    {{- include "lectern.selector" . | nindent 4 }}
  ports:
    - {name: media, port: {{ $media.port }}, nodePort: {{ $media.port }}, targetPort: media, protocol: UDP}
    {{- if .tcp }}
    - {name: media-tcp, port: {{ $media.port }}, nodePort: {{ $media.port }}, targetPort: media-tcp, protocol: TCP}
    {{- end }}
{{- else if eq $media.exposure "loadBalancer" }}
{{- range $ordinal := until (int .replicas) }}
---
apiVersion: v1
kind: Service
metadata:
  name: {{ $name }}-{{ $ordinal }}-media
  namespace: {{ $.root.Release.Namespace }}
  labels:
    {{- include "lectern.labels" (dict "root" $.root "role" $.role) | nindent 4 }}
  {{- with $media.service.annotations }}
  annotations:
    {{- toYaml . | nindent 4 }}
  {{- end }}
spec:
  type: LoadBalancer
  externalTrafficPolicy: Local
  publishNotReadyAddresses: true
  {{- with $media.service.loadBalancerClass }}
  loadBalancerClass: {{ . }}
  {{- end }}
  selector:
    {{- include "lectern.selector" (dict "root" $.root "role" $.role) | nindent 4 }}
    statefulset.kubernetes.io/pod-name: {{ $name }}-{{ $ordinal }}
  ports:
    - {name: media, port: {{ $media.port }}, targetPort: media, protocol: UDP}
    {{- if $.tcp }}
    - {name: media-tcp, port: {{ $media.port }}, targetPort: media-tcp, protocol: TCP}
    {{- end }}
{{- end }}
{{- end }}
{{- end -}}
