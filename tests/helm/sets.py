"""Sets of values that stand for clusters as they are: each is linted, rendered and validated."""

HIDDEN = {"existingSecret": "lectern-database", "existingSecretKey": "uri"}

SETS = {
    "the three that are needed": {},
    "one edge on each node that is set apart for it": {
        "edge": {
            "kind": "DaemonSet",
            "nodeSelector": {"role": "edge"},
            "tolerations": [{"key": "edge", "operator": "Exists", "effect": "NoSchedule"}],
        },
    },
    "edges with names of their own": {
        "certificates": {"mode": "existing", "edgeSecret": "wildcard", "originSecret": "studio"},
        "edge": {
            "kind": "StatefulSet",
            "hosts": ["edge-0.example.org", "edge-1.example.org"],
            "commentOrigins": ["https://uni.example"],
        },
    },
    "a load balancer for each edge": {
        "edge": {
            "kind": "StatefulSet",
            "replicas": 3,
            "media": {
                "exposure": "loadBalancer",
                "addressSource": "list",
                "addresses": ["203.0.113.7", "203.0.113.8", "203.0.113.9"],
                "tcp": False,
                "service": {"loadBalancerClass": "example.org/lb", "annotations": {"a.example/b": "c"}},
            },
        },
        "origin": {
            "media": {"exposure": "loadBalancer", "addressSource": "list", "addresses": ["203.0.113.20"]},
        },
    },
    "node ports": {
        "edge": {"media": {"exposure": "nodePort", "port": 30189, "addressSource": "hostIPs"}},
        "origin": {
            "media": {"exposure": "nodePort", "port": 30190},
            "rtmp": {"service": {"type": "NodePort", "nodePort": 31935}},
        },
    },
    "edges behind a 1:1 NAT": {"edge": {"media": {"addressSource": "externalIP"}}},
    "several origins on PostgreSQL, with secrets that are there": {
        "database": {"type": "postgres", **HIDDEN},
        "relay": {
            "token": {"existingSecret": "relay-token"},
            "tls": {"mode": "existing", "existingSecret": "relay-tls"},
        },
        "origin": {
            "replicas": 3,
            "image": {"tag": "0.1.0-ffmpeg"},
            "existingConfigSecret": "origin-config",
            "extraEnv": [
                {
                    "name": "LECTERN_ORIGIN__OIDC__CLIENT_SECRET",
                    "valueFrom": {"secretKeyRef": {"name": "oidc", "key": "secret"}},
                }
            ],
        },
    },
    "PostgreSQL by a URL that Helm keeps": {
        "database": {"type": "postgres", "url": "postgres://lectern:geheim@db.example/lectern"},
        "origin": {"replicas": 2, "media": {"exposure": "none"}},
    },
    "as many edges as are needed": {
        "edge": {
            "autoscaling": {"enabled": True, "targetViewers": 800, "targetEgress": "800M", "maxReplicas": 40},
        },
    },
    "all certificates from cert-manager": {
        "certificates": {"mode": "certManager", "issuerRef": {"name": "letsencrypt"}},
        "relay": {"tls": {"mode": "certManager"}},
        "edge": {"https": {"enabled": True, "hostPort": 443}},
    },
    "the relay's authority is the company's": {
        "relay": {
            "tls": {
                "mode": "certManager",
                "issuerRef": {"name": "company", "kind": "ClusterIssuer"},
                "extraNames": ["origins.example.org"],
            },
            "external": {"enabled": True},
        },
    },
    "a Gateway": {
        "edge": {
            "ingress": {"enabled": False},
            "httpRoute": {
                "enabled": True,
                "parentRefs": [{"name": "public", "namespace": "gateways"}],
                "sessionPersistence": {"type": "Cookie", "sessionName": "lectern-edge"},
            },
        },
        "origin": {
            "ingress": {"enabled": False},
            "httpRoute": {"enabled": True, "parentRefs": [{"name": "public", "namespace": "gateways"}]},
        },
    },
    "everything is watched": {
        "monitoring": {
            "serviceMonitor": {"enabled": True, "labels": {"release": "prometheus"}},
            "prometheusRule": {"enabled": True, "labels": {"release": "prometheus"}},
            "dashboard": {"enabled": True, "annotations": {"folder": "Live"}},
        },
    },
    "watched by its pods": {"monitoring": {"podMonitor": {"enabled": True}}},
    "edges of another cluster": {
        "origin": {"enabled": False},
        "edge": {"upstream": ["origins.example.org:4443", "relay.example.org:4444"]},
        "relay": {
            "token": {"value": "a-token"},
            "tls": {"mode": "existing", "existingSecret": "origins-ca"},
        },
    },
    "origins alone": {"edge": {"enabled": False}, "relay": {"external": {"enabled": True, "type": "NodePort"}}},
    "IPv6, and everything has a place and a name": {
        "fullnameOverride": "talks",
        "listenAddress": "::",
        "commonLabels": {"team": "media"},
        "imagePullSecrets": [{"name": "registry"}],
        "image": {"digest": "sha256:" + "a" * 64},
        "serviceAccount": {"create": False},
        "networkPolicy": {
            "httpFrom": [{"namespaceSelector": {"matchLabels": {"name": "ingress"}}}],
            "opsFrom": [{"namespaceSelector": {"matchLabels": {"name": "monitoring"}}}],
            "extraEdgeEgress": [{"ports": [{"port": 4317, "protocol": "TCP"}]}],
        },
        "edge": {
            "configInSecret": True,
            "config": '[[edge.ice_servers]]\nurls = ["turn:turn.example:3478"]\nusername = "u"\ncredential = "c"\n',
            "priorityClassName": "live",
            "podAnnotations": {"a": "b"},
            "podLabels": {"c": "d"},
            "affinity": {"nodeAffinity": {}},
            "extraVolumes": [{"name": "extra", "emptyDir": {}}],
            "extraVolumeMounts": [{"name": "extra", "mountPath": "/extra"}],
            "extraEnvFrom": [{"secretRef": {"name": "more"}}],
        },
    },
}
