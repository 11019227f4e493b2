#!/usr/bin/env python3
"""Writes helm/lectern/files/dashboard.json, Grafana's view of a whole installation: at a glance first, then
what viewers have, what edges send, what comes in, the way between, and the processes. Panels are listed here,
where they can be read and reviewed; `make test` finds a file that is not what this makes.

    scripts/dashboard.py [--check]
"""

import json
import sys
from collections.abc import Iterable
from pathlib import Path

FILE = Path(__file__).resolve().parent.parent / "helm/lectern/files/dashboard.json"
WIDTH = 24
SOURCE = {"type": "prometheus", "uid": "${datasource}"}
# Every node, or those that are chosen above; and the pause between two scrapes, which Grafana knows.
OF = 'instance=~"$instance"'
RATE = "$__rate_interval"


class Board:
    """Panels from left to right and from top to bottom."""

    def __init__(self) -> None:
        self.panels: list[dict] = []
        self.x = self.y = self.high = 0

    def row(self, title: str) -> None:
        self.below()
        self.add({"type": "row", "title": title, "collapsed": False}, WIDTH, 1)
        self.below()

    def below(self) -> None:
        self.y, self.x, self.high = self.y + self.high, 0, 0

    def add(self, panel: dict, width: int, height: int) -> None:
        if self.x + width > WIDTH:
            self.below()
        place = {"x": self.x, "y": self.y, "w": width, "h": height}
        self.panels.append({"id": len(self.panels) + 1, "gridPos": place, **panel})
        self.x, self.high = self.x + width, max(self.high, height)

    def stat(self, title: str, expr: str, unit: str, says: str, steps: list | None = None, zero: bool = True) -> None:
        """One number. `steps` are [from, colour]; without data it is 0 where that is true."""
        thresholds = [{"color": "green", "value": None}]
        thresholds += [{"color": colour, "value": value} for value, colour in steps or []]
        expr = f"({expr}) or vector(0)" if zero else expr
        options = {"colorMode": "value", "graphMode": "area", "reduceOptions": {"calcs": ["lastNotNull"]}}
        defaults = {"unit": unit, "thresholds": {"mode": "absolute", "steps": thresholds}}
        self.panel("stat", title, says, [(expr, "")], options, defaults, 3, 4)

    def graph(self, title: str, unit: str, says: str, *lines: tuple[str, str], width: int = 8, stack: bool = False) -> None:
        """Lines over time, each an expression and its legend."""
        custom = {"lineWidth": 1, "fillOpacity": 30 if stack else 8, "showPoints": "never"}
        custom["stacking"] = {"mode": "normal" if stack else "none"}
        options = {"legend": {"displayMode": "list", "placement": "bottom"}, "tooltip": {"mode": "multi", "sort": "desc"}}
        self.panel("timeseries", title, says, lines, options, {"unit": unit, "min": 0, "custom": custom}, width, 8)

    def panel(
        self, kind: str, title: str, says: str, lines: Iterable, options: dict, defaults: dict, width: int, height: int
    ) -> None:
        targets = [target(chr(ord("A") + n), expr, legend) for n, (expr, legend) in enumerate(lines)]
        self.add({
            "type": kind, "title": title, "description": says, "datasource": SOURCE, "targets": targets,
            "options": options, "fieldConfig": {"defaults": defaults, "overrides": []},
        }, width, height)  # fmt: skip


def target(ref: str, expr: str, legend: str) -> dict:
    return {"refId": ref, "datasource": SOURCE, "expr": expr, "legendFormat": legend}


def of(name: str, *labels: str) -> str:
    return f"{name}{{{', '.join([OF, *labels])}}}"


def rate(name: str, *labels: str) -> str:
    return f"rate({of(name, *labels)}[{RATE}])"


def by(label: str, expr: str, what: str = "") -> tuple[str, str]:
    """The sum for each value of a label, with that value for a legend, after a word where there are several."""
    return f"sum by ({label}) ({expr})", f"{what} {{{{{label}}}}}".strip()


def quantile(share: float, histogram: str, *labels: str, each: str = "instance") -> str:
    return f"histogram_quantile({share}, sum by ({each}, le) ({rate(histogram + '_bucket', *labels)}))"


def said(share: float, histogram: str, *labels: str, each: str = "instance") -> tuple[str, str]:
    return quantile(share, histogram, *labels, each=each), f"{{{{{each}}}}} p{share * 100:g}"


def stalled(each: str) -> str:
    held = f"sum{each} ({rate('lectern_viewer_stalled_seconds_total')})"
    return f"{held} / (sum{each} ({rate('lectern_viewer_played_seconds_total')}) + {held})"


def full(used: str, limit: str) -> tuple[str, str]:
    """How much of a limit of edges is in use, of the fullest of them."""
    word = f'limit="{limit}"'
    return f"max({used} / ignoring (limit) ({of('lectern_edge_limit', word)} > 0))", limit


def lost(side: str) -> str:
    return f"{rate(f'lectern_{side}_path_packets_lost_total')} / {rate(f'lectern_{side}_path_packets_sent_total')}"


EGRESS = (
    f"8 * (sum without (transport) ({rate('lectern_webrtc_bytes_sent_total')})"
    f" + sum without (kind) ({rate('lectern_edge_http_sent_bytes_total')}))"
)
INGEST = f"8 * ({rate('lectern_rtmp_received_bytes_total')} + {rate('lectern_whip_received_bytes_total')})"
VIDEO = 'kind="video"'
FAILED = 'status="5xx"'
NO_ROOM = 'outcome="refused"'


def ours(expr: str) -> str:
    """Of what every program that Prometheus scrapes exposes, Lectern's own."""
    return f"({expr}) and on (job, instance) {of('lectern_build_info')}"


def panels() -> list[dict]:
    board = Board()

    board.row("At a glance")
    board.stat("Viewers", f"sum({of('lectern_edge_viewers')})", "short", "Who watches now, on all edges and paths.")
    board.stat("On air", f"sum({of('lectern_origin_takes_live')})", "short", "Publishers that send media now.")
    board.stat("To viewers", f"sum({EGRESS})", "bps", "Over WebRTC and HTTP, in bits a second.")
    board.stat("From publishers", f"sum({INGEST})", "bps", "By RTMP and WHIP, in bits a second.")
    board.stat("Edges cut off", f"count({of('lectern_upstream_connected')} == 0)", "short",
               "Edges with no upstream: docs/runbooks.md#lecternedgecutoff.", [(1, "red")])  # fmt: skip
    board.stat("Time stood still", stalled(""), "percentunit",
               "The share of viewers' time for which pictures stood still.", [(0.01, "orange"), (0.02, "red")])  # fmt: skip
    board.stat("Findings", f"sum({of('lectern_origin_findings')})", "short",
               "What the doctor finds wrong with what publishers send.", [(1, "orange")])  # fmt: skip
    board.stat("Alerts", 'sum(ALERTS{alertname=~"Lectern.*", alertstate="firing"})', "short",
               "Alerts that fire: each has an entry in docs/runbooks.md.", [(1, "orange")])  # fmt: skip
    board.graph("Requests a second (rate)", "reqps", "All requests to edges, and offers of WebRTC viewers that were answered.",
                (f"sum({rate('lectern_edge_http_requests_total')})", "HTTP"),
                (f"sum({rate('lectern_webrtc_sessions_opened_total')})", "WebRTC"), width=6)  # fmt: skip
    board.graph("Refused and failed (errors)", "reqps", "What viewers were not given.",
                (f"sum({rate('lectern_edge_http_requests_total', FAILED)})", "HTTP 5xx"),
                (f"sum({rate('lectern_webrtc_offers_refused_total')})", "WebRTC offers refused"),
                (f"sum({rate('lectern_http_connections_refused_total')})", "HTTP connections refused"),
                (f"sum({rate('lectern_edge_access_refused_total')})", "may not watch"), width=6)  # fmt: skip
    board.graph("Behind the host (duration)", "s", "From the host to the screen, as viewers report it: the median.",
                (quantile(0.5, "lectern_viewer_latency_seconds", each="path"), "{{path}}"), width=6)  # fmt: skip
    board.graph("Full (saturation)", "percentunit", "Of what edges take on, how much is in use at the fullest: docs/runbooks.md#lecternnearlyfull.",
                full(of("lectern_webrtc_sessions"), "sessions_max"),
                full(of("lectern_webrtc_sessions_half_open"), "half_open_max"),
                full(rate("lectern_webrtc_sessions_opened_total"), "joins_per_sec_max"),
                full(f"(8 * sum without (transport) ({rate('lectern_webrtc_bytes_sent_total')}))", "egress_bps_max"),
                full(of("lectern_webrtc_tcp_connections"), "media_tcp_max"),
                full(f"({of('lectern_http_connections')} + {of('lectern_http_streams')})", "http_connections_max"),
                full(of("lectern_edge_broadcasts_subscribed"), "broadcasts_max"), width=6)  # fmt: skip
    board.graph("Ready", "short", "Nodes to which viewers and encoders may be sent, nodes that say no at /readyz, and of these edges that are about to stop.",
                (f"sum({of('lectern_ready')})", "ready"), (f"count({of('lectern_ready')} == 0) or vector(0)", "not ready"),
                (f"sum({of('lectern_edge_draining')})", "draining"), width=6)  # fmt: skip
    board.graph("Database", "short", "For each origin: 1 while it answers.",
                (of("lectern_origin_database_up"), "{{instance}}"), width=6)  # fmt: skip
    board.graph("Until an answer begins (duration)", "s", "Over HTTP, 95 of 100. What is about to come is held: playlists, parts, segments.",
                said(0.95, "lectern_edge_http_request_seconds", each="kind"), width=6)  # fmt: skip
    board.graph("Picture to all its viewers (saturation)", "s",
                "From a picture's arrival at an edge until its last WebRTC viewer was sent it: grows when cores are full.",
                said(0.99, "lectern_webrtc_frame_wait_seconds"), width=6)  # fmt: skip

    board.row("What viewers have")
    board.graph("Viewers by path", "short", "Who watches now.", by("path", of("lectern_edge_viewers")), stack=True)
    board.graph("Viewers by edge", "short", "Who watches now.", by("instance", of("lectern_edge_viewers")), stack=True)
    board.graph("Joins over WebRTC a second", "reqps", "Offers answered, and handshakes done over UDP and TCP.",
                (f"sum({rate('lectern_webrtc_sessions_opened_total')})", "answered"),
                by("transport", rate("lectern_webrtc_sessions_established_total")))  # fmt: skip
    board.graph("Behind the host", "s", "From the host to the screen, as viewers report it.",
                said(0.5, "lectern_viewer_latency_seconds", each="path"),
                said(0.95, "lectern_viewer_latency_seconds", each="path"))  # fmt: skip
    board.graph("First picture", "s", "From opening the player to the first picture, as viewers report it.",
                said(0.5, "lectern_viewer_startup_seconds", each="path"),
                said(0.95, "lectern_viewer_startup_seconds", each="path"))  # fmt: skip
    board.graph("Time stood still", "percentunit", "The share of viewers' time for which pictures stood still.",
                (stalled(" by (path)"), "{{path}}"))  # fmt: skip
    board.graph("WebRTC given up", "reqps", "Why players went to another path: no-connection is most often a blocked port.",
                by("reason", rate("lectern_viewer_fallbacks_total")), stack=True)  # fmt: skip
    board.graph("Turned away", "reqps", "Requests and offers that were refused, by why.",
                by("reason", rate("lectern_webrtc_offers_refused_total"), "WebRTC:"),
                by("reason", rate("lectern_edge_access_refused_total"), "may not watch:"),
                (f"sum({rate('lectern_edge_warm_ups_total', NO_ROOM)})", "no room for a broadcast"))  # fmt: skip
    board.graph("Reports and viewers not counted", "reqps", "Reports that were nonsense or too many, and the bounds of counting.",
                by("reason", rate("lectern_viewer_reports_refused_total"), "report:"),
                by("limit", rate("lectern_edge_viewers_uncounted_total"), "beyond what is counted:"))  # fmt: skip

    board.row("What edges send")
    board.graph("To viewers, by edge", "bps", "Compare with what the network card and edge.egress_mbps_max allow.",
                by("instance", EGRESS), stack=True)  # fmt: skip
    board.graph("To viewers, by way", "bps", "WebRTC over UDP and TCP, and HTTP.",
                by("transport", f"8 * {rate('lectern_webrtc_bytes_sent_total')}"),
                (f"8 * sum({rate('lectern_edge_http_sent_bytes_total')})", "HTTP"), stack=True)  # fmt: skip
    board.graph("Sessions and connections", "short", "Each edge has edge.sessions_max, http_connections_max and media_tcp_max of them.",
                (f"sum({of('lectern_webrtc_sessions')})", "WebRTC sessions"),
                (f"sum({of('lectern_http_connections')})", "HTTP connections"),
                (f"sum({of('lectern_http_streams')})", "HTTP/2 streams besides"),
                (f"sum({of('lectern_webrtc_tcp_connections')})", "media over TCP"),
                (f"sum({of('lectern_edge_http_held_requests')})", "held requests"))  # fmt: skip
    board.graph("Pictures dropped, by reason", "short", "Frames a second that a viewer, a worker or an edge did not get.",
                by("reason", rate("lectern_webrtc_frames_dropped_total")), stack=True)  # fmt: skip
    board.graph("Frames sent", "short", "Once per viewer, a second.", by("instance", rate("lectern_webrtc_frames_sent_total")))
    board.graph("Age of pictures sent", "s", "From a picture's arrival at the origin until its last viewer was sent it.",
                said(0.5, "lectern_webrtc_frame_age_seconds"), said(0.99, "lectern_webrtc_frame_age_seconds"))  # fmt: skip
    board.graph("Packets asked for again", "pps", "Loss between edges and viewers, and what came of it.",
                by("outcome", rate("lectern_webrtc_nacks_total")))  # fmt: skip
    board.graph("Keyframes asked for, renditions changed", "reqps", "Signs of links that are too narrow.",
                by("outcome", rate("lectern_webrtc_keyframe_requests_total"), "keyframe"),
                by("direction", rate("lectern_webrtc_rendition_switches_total"), "rendition"))  # fmt: skip
    board.graph("WebRTC sessions ended", "reqps", "By why.", by("reason", rate("lectern_webrtc_sessions_ended_total")), stack=True)
    board.graph("Not taken by the system", "pps", "Packets that could not be sent.", by("kind", rate("lectern_webrtc_send_errors_total")))
    board.graph("Strange datagrams", "pps", "What arrives at the media port and is not a viewer's.",
                by("kind", rate("lectern_webrtc_bad_datagrams_total")), stack=True)  # fmt: skip
    board.graph("Media connections over TCP", "reqps", "Refused, and ended, by why.",
                by("reason", rate("lectern_webrtc_tcp_connections_refused_total"), "refused:"),
                by("reason", rate("lectern_webrtc_tcp_connections_closed_total"), "ended:"))  # fmt: skip

    board.row("HTTP")
    board.graph("Requests by what is asked for", "reqps", "All requests to edges.",
                by("kind", rate("lectern_edge_http_requests_total")), stack=True)  # fmt: skip
    board.graph("Requests by status", "reqps", "404 and 410 are what players may run into; 5xx are not.",
                by("status", rate("lectern_edge_http_requests_total")), stack=True)  # fmt: skip
    board.graph("Bytes by what is asked for", "Bps", "Bodies handed to connections.",
                by("kind", rate("lectern_edge_http_sent_bytes_total")), stack=True)  # fmt: skip
    board.graph("API and WHIP by status", "reqps", "Requests to origins.", by("status", rate("lectern_api_requests_total")), stack=True)
    board.graph("API and WHIP: how long", "s", "Until the answer begins, by route.",
                said(0.95, "lectern_api_request_seconds", each="route"))  # fmt: skip
    board.graph("Kept for viewers over HTTP", "bytes", "Media in the memory of edges.", (of("lectern_edge_kept_bytes"), "{{instance}}"))
    board.graph("Connections by protocol", "reqps", "Those that got as far as a request.",
                by("protocol", rate("lectern_http_connections_accepted_total")))  # fmt: skip
    board.graph("Connections refused and cut", "reqps", "By the limit, or by what was wrong with them.",
                by("limit", rate("lectern_http_connections_refused_total"), "refused:"),
                by("reason", rate("lectern_http_connections_cut_total"), "cut:"),
                by("reason", rate("lectern_http_streams_cut_total"), "HTTP/2 cut:"))  # fmt: skip
    board.graph("Readers dropped, certificates", "reqps", "Readers of a segment in progress that were cut off; files of the certificate read again.",
                by("reason", rate("lectern_edge_http_readers_dropped_total"), "reader:"),
                by("result", rate("lectern_tls_certificate_reloads_total"), "certificate"))  # fmt: skip

    board.row("What comes in")
    board.graph("From publishers", "bps", "By RTMP and WHIP.",
                by("instance", f"8 * {rate('lectern_rtmp_received_bytes_total')}", "RTMP"),
                (f"8 * sum({rate('lectern_whip_received_bytes_total')})", "WHIP"))  # fmt: skip
    board.graph("Pictures a second and publisher", "short", "The average over the publishers of a protocol.",
                (f"sum({rate('lectern_rtmp_tags_total', VIDEO)}) / sum({of('lectern_rtmp_publishers')})", "RTMP"),
                (f"sum({rate('lectern_whip_tags_total', VIDEO)}) / sum({of('lectern_whip_publishers')})", "WHIP"))  # fmt: skip
    board.graph("Publishers", "short", "Connected now, and those who send media.",
                (f"sum({of('lectern_rtmp_publishers')})", "RTMP"), (f"sum({of('lectern_whip_publishers')})", "WHIP"),
                (f"sum({of('lectern_origin_takes_live')})", "on air"))  # fmt: skip
    board.graph("Findings of the doctor", "short", "Broadcasts with something that hurts viewers, by its code: docs/doctor.md.",
                by("code", f"{of('lectern_origin_findings')} > 0"), stack=True)  # fmt: skip
    board.graph("Takes, and who was refused", "reqps", "Publishers that began, that others put an end to, and that were sent away.",
                (f"sum({rate('lectern_origin_takes_total')})", "begun"),
                (f"sum({rate('lectern_origin_takeovers_total')})", "taken over"),
                by("reason", rate("lectern_origin_publish_refused_total"), "refused:"),
                by("reason", rate("lectern_rtmp_connections_refused_total"), "no room:"))  # fmt: skip
    board.graph("Left out, by reason", "short", "Frames, packets and pictures of publishers that could not be used, a second.",
                by("reason", rate("lectern_origin_dropped_total"), "frames:"), by("reason", rate("lectern_whip_dropped_total"), "WHIP datagrams:"),
                by("reason", rate("lectern_whip_pictures_left_out_total"), "WHIP pictures:"),
                by("reason", rate("lectern_rtmp_bad_input_total"), "RTMP:"))  # fmt: skip
    board.graph("Through the origin", "s", "From a picture's last byte until it is handed to the relay.",
                said(0.5, "lectern_origin_publish_age_seconds"), said(0.99, "lectern_origin_publish_age_seconds"))  # fmt: skip
    board.graph("Re-encoders", "short", "Sources that are re-encoded, of origin.reencoders_max; pictures dropped and restarts a second.",
                (f"sum({of('lectern_reencoders')})", "running"),
                (f"sum({rate('lectern_reencoder_dropped_total')})", "dropped"),
                (f"sum({rate('lectern_reencoder_restarts_total')})", "restarts"))  # fmt: skip
    board.graph("Whose broadcasts are", "reqps", "Broadcasts that origins gained and lost, and periods begun.",
                by("change", rate("lectern_origin_ownership_changes_total")),
                (f"sum({rate('lectern_origin_periods_total')})", "periods"))  # fmt: skip

    board.row("Each broadcast")
    board.graph("From its publisher", "bps", "Media, without what carries it. Beyond origin's limit on names they are one.",
                by("broadcast", f"8 * {rate('lectern_ingest_media_bytes_total')}"))  # fmt: skip
    board.graph("Its pictures a second", "short", "As the publisher sends them.",
                by("broadcast", rate("lectern_ingest_frames_total", 'media="video"')))  # fmt: skip
    board.graph("From keyframe to keyframe", "s", "Long ones keep viewers waiting: two seconds are good.",
                (of("lectern_ingest_keyframe_interval_seconds"), "{{broadcast}}"))  # fmt: skip

    board.row("Between origins and edges")
    board.graph("Upstreams connected", "short", "For each edge: 0 is cut off.", (of("lectern_upstream_connected"), "{{instance}}"))
    board.graph("Origin to edge", "s", "From a picture's arrival at the origin to its arrival at an edge.",
                said(0.5, "lectern_edge_chunk_age_seconds", 'track="video"'),
                said(0.99, "lectern_edge_chunk_age_seconds", 'track="video"'))  # fmt: skip
    board.graph("Lost and fetched again", "short", "Groups of pictures or sound, a second.",
                (f"sum({rate('lectern_upstream_groups_skipped_total')})", "given up"),
                (f"sum({rate('lectern_upstream_groups_resumed_total')})", "resumed by another way"),
                (f"sum({rate('lectern_edge_backfill_groups_total')})", "fetched later"),
                by("reason", rate("lectern_edge_backfill_failed_total"), "not fetched:"))  # fmt: skip
    board.graph("Round trip", "s", "The longest of a node's connections, to upstreams and from edges.",
                (of("lectern_upstream_path_round_trip_seconds"), "{{instance}}"),
                (of("lectern_relay_path_round_trip_seconds"), "{{instance}} to its edges"))  # fmt: skip
    board.graph("Packets lost between nodes", "percentunit", "Of those that a node sent; most media goes from upstreams to edges.",
                (lost("relay"), "{{instance}} to its edges"), (lost("upstream"), "{{instance}} to its upstreams"))  # fmt: skip
    board.graph("Sessions of relay ports", "short", "256 fit each.", by("instance", of("lectern_relay_sessions")))
    board.graph("Connections that failed or ended", "reqps", "At edges; and what relay ports refused, by why.",
                by("instance", rate("lectern_upstream_disconnects_total")),
                by("reason", rate("lectern_relay_refused_total"), "refused:"))  # fmt: skip
    board.graph("Could not be used", "short", "Chunks that did not fit or could not be read, a second.",
                by("fault", rate("lectern_edge_timeline_faults_total")),
                (f"sum({rate('lectern_upstream_malformed_total')})", "malformed"),
                (f"sum({rate('lectern_upstream_groups_ignored_total')})", "ignored"))  # fmt: skip
    board.graph("Broadcasts of edges", "short", "Announced to them, and subscribed to, of edge.broadcasts_max.",
                (f"max({of('lectern_edge_broadcasts_announced')})", "announced"),
                (of("lectern_edge_broadcasts_subscribed"), "subscribed to by {{instance}}"))  # fmt: skip
    board.graph("First viewer of a broadcast", "s", "From a broadcast's being asked for to its first media.",
                said(0.5, "lectern_edge_warm_up_seconds"), said(0.95, "lectern_edge_warm_up_seconds"))  # fmt: skip
    board.graph("Fetched of what was before", "Bps", "Older media that edges fetch, within edge.window_fetch_mbps_max.",
                by("instance", rate("lectern_edge_backfill_bytes_total")))  # fmt: skip

    board.row("Comments, registrations, webhooks")
    board.graph("Comments stored", "reqps", "Changes of comments: written, taken back, approved, pinned.",
                by("instance", rate("lectern_comments_stored_total")))  # fmt: skip
    board.graph("Comments refused", "reqps", "By origins and edges.",
                by("reason", rate("lectern_comments_refused_total"), "origin:"),
                by("reason", rate("lectern_edge_comments_refused_total"), "edge:"))  # fmt: skip
    board.graph("Until a comment is stored", "s", "From its arrival at the origin to the answer.",
                said(0.5, "lectern_comments_answer_seconds"), said(0.95, "lectern_comments_answer_seconds"))  # fmt: skip
    board.graph("Readers of comments", "short", "By edge.", by("instance", of("lectern_edge_comment_readers")), stack=True)
    board.graph("Registrations", "reqps", "Viewers who were let in, and those who were not.",
                (f"sum({rate('lectern_registrations_stored_total')})", "stored"),
                by("reason", rate("lectern_registrations_refused_total"), "origin:"),
                by("reason", rate("lectern_edge_registrations_refused_total"), "edge:"))  # fmt: skip
    board.graph("Webhooks and other origins", "reqps", "What webhooks were told, and what origins on one database hear of each other.",
                by("outcome", rate("lectern_origin_webhook_attempts_total"), "webhook"),
                by("kind", rate("lectern_origin_news_total"), "other origins:"))  # fmt: skip

    board.row("Processes")
    board.graph("CPU", "short", "Cores. Plan for 60 % of an edge's: docs/sizing.md.", (ours(rate("process_cpu_seconds_total")), "{{instance}}"))
    board.graph("Memory", "bytes", "Resident.", (ours(of("process_resident_memory_bytes")), "{{instance}}"))
    board.graph("File descriptors", "percentunit", "Of those that the system lets it have.",
                (ours(f"{of('process_open_fds')} / {of('process_max_fds')}"), "{{instance}}"))  # fmt: skip
    board.graph("Clocks apart", "s", "Edges from their origins, and origins from PostgreSQL: docs/runbooks.md#lecternclocksapart.",
                (f"abs({of('lectern_edge_clock_offset_seconds')})", "{{instance}} from its origins"),
                (f"abs({of('lectern_origin_database_clock_offset_seconds')})", "{{instance}} from the database"))  # fmt: skip
    board.graph("Up for", "s", "Since it was started.", (ours(f"time() - {of('process_start_time_seconds')}"), "{{instance}}"))
    board.graph("Versions", "short", "How many nodes run which.",
                (f"count by (version, commit) ({of('lectern_build_info')})", "{{version}} {{commit}}"), stack=True)  # fmt: skip
    board.graph("Runs as its file says", "short", "0: the last SIGHUP found something that it could not take.",
                (of("lectern_config_last_reload_successful"), "{{instance}}"))  # fmt: skip
    board.graph("Spans of traces", "short", "A second, by what became of them. Lost ones: docs/operations.md.",
                (f"sum by (outcome) ({rate('lectern_trace_spans_total')})", "{{outcome}}"), stack=True)  # fmt: skip
    return board.panels


def dashboard() -> dict:
    instances = "label_values({__name__=~\"lectern_origin_takes_live|lectern_edge_broadcasts_announced\"}, instance)"
    choices = {"includeAll": True, "multi": True, "allValue": ".*", "current": {"text": "All", "value": "$__all"}}
    return {
        "title": "Lectern",
        "uid": "lectern",
        "description": "Origins and edges of Lectern: at a glance, and what is behind it.",
        "tags": ["lectern"],
        "schemaVersion": 38,
        "editable": True,
        "refresh": "15s",
        "time": {"from": "now-1h", "to": "now"},
        "timezone": "",
        "graphTooltip": 1,
        "links": [],
        "annotations": {"list": []},
        "templating": {"list": [
            {"name": "datasource", "label": "Data source", "type": "datasource", "query": "prometheus"},
            {"name": "instance", "label": "Node", "type": "query", "datasource": SOURCE, "refresh": 2, "sort": 1,
             "query": {"query": instances, "refId": "instances"}, "definition": instances, **choices},
        ]},
        "panels": panels(),
    }  # fmt: skip


def main() -> None:
    text = json.dumps(dashboard(), indent=1, ensure_ascii=False) + "\n"
    if "--check" in sys.argv[1:]:
        if not FILE.exists() or FILE.read_text() != text:
            sys.exit(f"{FILE.name} is not what scripts/dashboard.py makes: run it, and commit both")
    else:
        FILE.write_text(text)


if __name__ == "__main__":
    main()
