//! The command line.

use std::fmt;
use std::path::PathBuf;

use anyhow::Context as _;
use clap::{Args, Parser, Subcommand, ValueEnum};
use tracing_subscriber::EnvFilter;

use crate::find_address::FindAddress;
use crate::process::VERSION;

/// What is logged, unless something is said.
pub(crate) const LOG_DEFAULT: &str = "info";

const AFTER_HELP: &str = "\
CONFIGURATION
  A TOML file; a key that is not known is refused. Every key has a default, and an environment
  variable that overrides it: LECTERN_ and the key's path with __ between its parts, such as
  LECTERN_EDGE__HTTP=0.0.0.0:80.

    log = \"info\"                     as --log, which goes before it
    log_format = \"text\"              or json, an object in each line
    data_dir = \"lectern-data\"        what must outlive the process (origin, all)

    [telemetry]                      traces (docs/operations.md)
    endpoint = \"http://collector:4318/v1/traces\"
                                     an OpenTelemetry collector, over HTTP; without it nothing is traced
    sample_ratio = 0.01              how much is; the same at all origins and edges
    headers_file                     headers for it, one in a line, such as authorization: Bearer …
    service_name = \"lectern\"         what traces call it, and this process: instance
    timeout_secs = 5                 how long it may take to answer
    queue_max = 2048                 spans that may wait for it

    [origin]
    rtmp  = \"0.0.0.0:1935\"           RTMP, TCP: rtmp://HOST/live/<stream-key>
    relay = \"0.0.0.0:4443\"           edges subscribe here, QUIC over UDP
    http  = \"0.0.0.0:8088\"           the console, the API under /api/v1, and WHIP at /whip
    trusted_proxies = [\"10.0.0.0/8\"]  whose X-Forwarded-For is believed there
    watch_url = \"/watch/\"            what a broadcast's id is appended to in links for viewers, such
                                     as https://edge.example/watch/
    webhook_networks = [\"10.20.0.0/16\"]
                                     networks that are not public and that webhooks may reach
    media = \"[::]:8190\"              media of publishers by WHIP, UDP
    media_addresses = [\"203.0.113.7\"]  where publishers reach it, as in [edge]
    whip_sessions_max = 64           publishers by WHIP at once
    ffmpeg = \"/usr/bin/ffmpeg\"       re-encodes what viewers cannot be given; the one on the PATH
                                     when absent
    reencode = true                  without, WHIP takes H.264 alone, and B-frames of RTMP stay
    reencoders_max = 2               sources re-encoded at once, each of a core or so at 720p
    ops   = \"0.0.0.0:9090\"           /metrics /healthz /readyz
    metrics_broadcasts_max = 100     broadcasts that metrics name; 0 for none
    relay_token = \"…\"                what edges must present; without it, or relay_client_ca, the
                                     relay has to listen on a loopback address, and nobody comments
    relay_token_file = \"…\"          the same in a file, a token in a line: the first is presented, all
                                     are accepted; read again when it changes
    relay_client_ca = \"ca.pem\"       who has to have signed the certificates of edges
    relay_certificate, relay_key     PEM files, read again when they change; made on first start when
                                     absent
    relay_window_secs = 120          seconds of media kept for edges that start later
    relay_window_bytes_max = 536870912
                                     bytes of it, over all broadcasts
    database = \"postgres://…\"       where accounts, broadcasts and comments are kept, and how far
                                     each broadcast came; origins that share it continue each
                                     other's. Or sqlite:PATH; lectern.db in data_dir when absent
    limits.connections_max = 512     encoders connected at once
    limits.connections_per_address_max = 32

    [origin.oidc]                    who vouches for people, besides passwords (docs/sign-in.md)
    issuer = \"https://idp.example/realms/uni\"
                                     the OpenID provider, exactly as it calls itself
    client_id, client_secret         what this origin is there; no secret for a public client
    name = \"University\"              what people call it
    console_url = \"https://origin.example/console\"
                                     where browsers find the console; the provider must know
                                     https://origin.example/api/v1/oidc/callback
    scopes = [\"openid\", \"profile\", \"email\"]
    create = false                   whether who has no account is given one
    role = \"host\"                    what they may do then; or moderator, or admin
    domains = [\"uni.example\"]        whose verified address is in one of these; anybody when absent
    claim = \"groups\"                 what says who somebody is, or the way to it with dots
    claim_values = [\"staff\"]         one of these must be in it
    roles = { \"lectern-admins\" = \"admin\" }
                                     what a value in it makes of a new account

    [edge]
    http  = \"0.0.0.0:8080\"           pages, WHEP, LL-DASH, LL-HLS; HTTP/1.1, HTTP/2 by prior knowledge
    https = \"0.0.0.0:8443\"           the same over TLS, HTTP/2 and HTTP/1.1; none when absent
    tls_certificate, tls_key         PEM files, read again when they change; without them a
                                     certificate for localhost is made, for development
    media = \"[::]:8189\"              all WebRTC media: UDP, and TCP where UDP is blocked; [::] is
                                     IPv4 as well
    media_addresses = [\"203.0.113.7\"]  where viewers reach it, also with a port as outside a NAT:
                                     \"203.0.113.7:30189\"; this machine's when absent
    media_addresses_file = \"…\"      the same in a file, one in a line; read again when it changes
    media_tcp_max = 1000             TCP connections for media, each a file descriptor; 0 for none
    ops   = \"0.0.0.0:9091\"           /metrics /healthz /readyz
    upstream = \"origin.example:4443\"  or a list; every address of every name is dialled
    upstream_ca, upstream_name       trust and name of the upstreams' certificates
    upstream_certificate, upstream_key  what is presented to upstreams that want to see one
    relay = \"0.0.0.0:4443\"           other edges may subscribe here, QUIC over UDP
    relay_certificate, relay_key     PEM files for that
    relay_client_ca                  who has to have signed the certificates of these edges
    relay_window_bytes_max = 536870912  media kept for these edges
    relay_token, relay_token_file    as of the origin
    workers = 0                      sender threads; 0 is one per core
    sessions_max = 5000              WebRTC viewers at once
    half_open_max = 1000             of these, those whose handshake is not done
    half_open_per_client_max = 250   of these, from one IPv4 address or IPv6 /64
    joins_per_sec_max = 0            WebRTC viewers joining; 0 is 300 for each worker
    egress_mbps_max = 800            Mbit/s to WebRTC viewers; no limit when absent
    playout_delay = { min_ms = 0, max_ms = 200 }
                                     how long players may hold a picture back; theirs to choose
                                     when absent
    http_connections_max = 16384     and http_connections_per_client_max = 4096
    trusted_proxies = [\"10.0.0.0/8\"]  whose X-Forwarded-For is believed
    comment_origins = [\"https://uni.example\"]
                                     sites whose pages may write comments, besides the edge's own
    lobby = true                     whether / and GET /live list the public broadcasts
    shared_cache = false             a CDN in front checks viewer tokens itself and may keep media of
                                     broadcasts that need them for all (docs/access.md)
    siblings = [\"https://edge2.example\"]
                                     other edges, where players go when this one is lost or stops
    drain_secs = 15                  seconds to let them go there before it stops, or less if nobody is
                                     left; none without siblings unless it is said
    prewarm = [\"algebra-1\"]          broadcasts that are always subscribed to, or [\"*\"] for all; others
                                     are while somebody watches. All in `all`, none in `edge`. A HEAD
                                     of /live/<id>/manifest.mpd warms one for now
    linger_secs = 60                 seconds for which one stays after its last viewer
    broadcasts_max = 256             broadcasts subscribed to at once
    window_secs = 120                seconds that viewers over HTTP can seek back; 20 or more for plain HLS
    window_bytes_max = 134217728     bytes kept per broadcast, whatever the window
    window_fetch_mbps_max = 50       Mbit/s at which a new edge fetches what was before it

    [[edge.ice_servers]]             TURN servers for viewers, any number of them
    urls = [\"turn:turn.example:3478\"]
    username, credential

    [[broadcast]]                    any number of them (origin, all)
    id = \"algebra-1\"                 public, in the watch URL
    stream_key = \"…\"                 the host's secret to publish
    title = \"…\"                      what viewers read above it
    starts_at = \"2026-11-22T10:00:00+01:00\"
                                     when it is to begin: who comes before is told
    moderator_key = \"…\"              who has this keeps order in the comments, at
                                     /watch/<id>#moderate=<key>; 16 to 64 of a-z A-Z 0-9 - _
    attendance = false               whether a list is kept of who attends and wants to be on it
    description = \"…\"                what it is about, up to 2000 characters of plain text
    topics = [\"algebra\"]             up to 10, of 40 characters
    language = \"de\"                  BCP 47
    logo = \"https://…\"               viewers' browsers fetch it from there
    links = [{ title = \"…\", url = \"https://…\" }]
                                     up to 8
    visibility = \"public\"            or unlisted: not in the lobby; or token: for those who have a
                                     viewer token (docs/access.md)
    viewers_max = 500                how many may watch at once; no limit when absent

    [[viewer_key]]                   who signs viewer tokens for these broadcasts, up to 16
    kid = \"…\"                        the key's name, which tokens carry
    public_key = \"…\"                 Ed25519, 32 bytes in base64url

  In `all` the edge subscribes to the origin beside it; upstream and token are set for it.

  SIGHUP has the file read again, and log, [[broadcast]], [[viewer_key]], origin.limits and most limits
  of [edge] used from then on: docs/configuration.md says which. A change of anything else is refused in
  the log, and then nothing is changed. Certificates, tokens and addresses are read again by themselves.

EXIT CODES
  0   ended as it was told to; of check-config: the configuration can be started with
  1   could not start, or broke off: a port in use, a full disk, a part that failed
  2   the command line is not understood
  78  the configuration is refused, with a line for each fault: starting again will not help before it
      is changed";

/// Low-latency live engine for lectures and webinars.
#[derive(Debug, Parser)]
#[command(version = VERSION, after_long_help = AFTER_HELP, after_help = "--help says how it is configured.")]
pub(crate) struct Cli {
    /// What this process is.
    #[command(subcommand)]
    pub(crate) command: Command,

    /// Configuration file (TOML).
    #[arg(long, global = true, value_name = "FILE", env = "LECTERN_CONFIG")]
    pub(crate) config: Option<PathBuf>,

    /// What to log: a level, or a filter such as `info,lectern_edge=debug`.
    /// Without, what the configuration says, or `info`.
    #[arg(long, global = true, value_name = "FILTER", env = "LECTERN_LOG")]
    pub(crate) log: Option<String>,
}

/// What a process does.
#[derive(Clone, Debug, Subcommand)]
pub(crate) enum Command {
    #[command(flatten)]
    Run(Role),
    /// Says whether the configuration can be started with, and what is wrong with it otherwise: a line for
    /// each fault, with the key and what to do. Opens no port and changes nothing.
    CheckConfig(CheckConfig),
    /// Finds under which addresses the media port of this machine is reached, for edge.media_addresses_file.
    FindAddress(FindAddress),
}

/// What is checked.
#[derive(Args, Clone, Debug)]
pub(crate) struct CheckConfig {
    /// What it is to configure.
    #[arg(long, value_name = "ROLE", default_value = "all")]
    role: RoleName,
    /// Where what must outlive the process would be kept.
    #[arg(long, value_name = "DIR")]
    data_dir: Option<PathBuf>,
    /// A name by which others reach this node, any number of them: the certificates that it shows have to be
    /// for each.
    #[arg(long = "name", value_name = "NAME")]
    pub(crate) names: Vec<String>,
    /// Look neither at the files that are named nor at this machine: for a configuration that is to run
    /// elsewhere.
    #[arg(long)]
    pub(crate) settings_only: bool,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum RoleName {
    All,
    Origin,
    Edge,
}

impl CheckConfig {
    /// The role that is checked.
    pub(crate) fn role(&self) -> Role {
        let data_dir = self.data_dir.clone();
        match self.role {
            RoleName::All => Role::All { demo: false, data_dir },
            RoleName::Origin => Role::Origin { data_dir },
            RoleName::Edge => Role::Edge,
        }
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::All { .. } => "all",
            Self::Origin { .. } => "origin",
            Self::Edge => "edge",
        })
    }
}

/// The role of a process.
#[derive(Clone, Debug, Subcommand)]
pub(crate) enum Role {
    /// Origin and edge in one process, everything embedded. Needs no configuration file.
    All {
        /// Provision the broadcast `demo` with the stream key `demo` and feed it a test pattern.
        #[arg(long)]
        demo: bool,
        /// Where to keep what must outlive the process.
        #[arg(long, value_name = "DIR")]
        data_dir: Option<PathBuf>,
    },
    /// Takes in what hosts push and publishes it to edges.
    Origin {
        /// Where to keep what must outlive the process.
        #[arg(long, value_name = "DIR")]
        data_dir: Option<PathBuf>,
    },
    /// Subscribes to an origin and serves viewers.
    Edge,
}

impl Role {
    /// Whether it takes in what hosts push.
    pub(crate) fn has_origin(&self) -> bool {
        matches!(self, Self::All { .. } | Self::Origin { .. })
    }

    /// Whether it serves viewers.
    pub(crate) fn has_edge(&self) -> bool {
        matches!(self, Self::All { .. } | Self::Edge)
    }

    /// The data directory given on the command line.
    pub(crate) fn data_dir(&self) -> Option<&PathBuf> {
        match self {
            Self::All { data_dir, .. } | Self::Origin { data_dir } => data_dir.as_ref(),
            Self::Edge => None,
        }
    }
}

/// The log filter that `text` says: ours at the level asked for, the libraries' warnings beside it,
/// but for those of which a stranger may cause any number.
pub(crate) fn log_filter(text: &str) -> anyhow::Result<EnvFilter> {
    let bare_level = text.parse::<tracing::Level>().is_ok();
    let filter = if bare_level {
        format!(
            "warn,moq_net=error,lectern={text},lectern_origin={text},lectern_edge={text},lectern_relay_proto={text}"
        )
    } else {
        text.to_owned()
    };
    let wrong =
        "is not a filter: write a level, such as info, or one such as info,lectern_edge=debug";
    EnvFilter::try_new(&filter).with_context(|| format!("{text:?} {wrong}"))
}
