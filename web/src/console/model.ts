// What the API's resources look like, as docs of the API have it: types alone. Times are RFC 3339 in UTC.

export type Role = 'admin' | 'host' | 'moderator';
export type BroadcastRole = 'host' | 'moderator';
export type State = 'unbegun' | 'live' | 'away' | 'ended';
export type Visibility = 'public' | 'unlisted' | 'token';

/** A page of a list, and what to ask for the next one with; null for the last. */
export interface Page<T> {
  readonly items: readonly T[];
  readonly next: string | null;
}

/** What anybody may know of the server. */
export interface Info {
  readonly name: string;
  readonly version: string;
  /** There is no account yet. */
  readonly setup_needed: boolean;
  readonly oidc: { readonly name: string } | null;
  readonly rtmp_port: number;
  readonly whip: string | null;
  /** Where viewers watch: a path of this host, or an address. */
  readonly watch: string;
  /** What not every server can do: nothing of it is offered unless it is here. */
  readonly features?: readonly Feature[];
}

export type Feature = 'webhooks' | 'registration';

export interface Account {
  readonly id: string;
  readonly login: string;
  readonly name: string;
  readonly role: Role;
  readonly disabled: boolean;
  readonly has_password: boolean;
  readonly oidc: boolean;
  readonly created_at: string;
  readonly signed_in_at: string | null;
  readonly rev: number;
}

export interface Session {
  readonly account: Account;
  readonly expires_at: string;
}

/** A session of an account, in the list of them. */
export interface SignIn {
  readonly id: string;
  readonly created_at: string;
  readonly seen_at: string;
  readonly agent: string | null;
  readonly current: boolean;
}

export const SCOPES = [
  'broadcasts:read',
  'broadcasts:write',
  'keys:write',
  'viewers:write',
  'comments:read',
  'accounts:write',
  'webhooks:write',
] as const;
export type Scope = (typeof SCOPES)[number];

export interface Token {
  readonly id: string;
  readonly name: string;
  readonly scopes: readonly Scope[];
  readonly expires_at: string | null;
  readonly created_at: string;
  readonly used_at: string | null;
  readonly hint: string;
}

export interface Link {
  readonly title: string;
  readonly url: string;
}

export const FIELD_KINDS = ['text', 'email', 'select', 'checkbox'] as const;
export type FieldKind = (typeof FIELD_KINDS)[number];

export interface RegistrationField {
  readonly name: string;
  readonly label: string;
  readonly kind: FieldKind;
  readonly required: boolean;
  readonly options: readonly string[];
}

export interface Registration {
  readonly notice: string | null;
  readonly fields: readonly RegistrationField[];
}

/** What a host may say of a broadcast. */
export interface About {
  readonly title: string | null;
  readonly description: string | null;
  readonly topics: readonly string[];
  /** BCP 47. */
  readonly language: string | null;
  readonly starts_at: string | null;
  readonly visibility: Visibility;
  readonly logo: string | null;
  readonly links: readonly Link[];
  readonly viewers_max: number | null;
  readonly attendance: boolean;
  readonly registration: Registration | null;
}

export interface Broadcast extends About {
  readonly id: string;
  readonly blocked: boolean;
  /** Who may change it: the console, or only the configuration file. */
  readonly source: 'console' | 'config';
  readonly rev: number;
  /** Both are null for what the configuration file provisions. */
  readonly created_at: string | null;
  readonly updated_at: string | null;
  readonly state: State;
  readonly live_since: string | null;
  readonly viewers: number;
  /** Problems and warnings now. */
  readonly findings: number;
  /** What the asker is here. */
  readonly role: Role;
  /** Only in the answer for one broadcast; null in lists and news. */
  readonly moderator_key: string | null;
}

export type KeyUse = 'primary' | 'backup';

export interface Key {
  readonly id: string;
  readonly label: string;
  readonly use: KeyUse;
  readonly hint: string;
  readonly created_at: string;
  readonly used_at: string | null;
  readonly revoked_at: string | null;
}

export interface Member {
  readonly account: { readonly id: string; readonly login: string; readonly name: string };
  readonly role: BroadcastRole;
}

export interface ViewerToken {
  readonly token: string;
  readonly url: string;
  readonly expires_at: string;
}

export interface Figures {
  /** What it calls itself. */
  readonly encoder: string | null;
  readonly video_codec: string | null;
  readonly video_profile: string | null;
  readonly width: number | null;
  readonly height: number | null;
  readonly frame_rate: number | null;
  /** As the stream says. */
  readonly stated_frame_rate: number | null;
  readonly video_bps: number | null;
  readonly audio_codec: string | null;
  readonly audio_profile: string | null;
  readonly audio_bps: number | null;
  readonly sample_rate: number | null;
  readonly channels: number | null;
  readonly keyframe_ms: number | null;
  readonly keyframe_ms_max: number | null;
  readonly jitter_ms: number | null;
  readonly av_offset_ms: number | null;
  readonly reencoding_delay_ms: number | null;
  readonly peak_dbfs: number | null;
  readonly rms_dbfs: number | null;
}

/** One second of what came in. */
export interface Point {
  readonly at: string;
  readonly video_bps: number | null;
  readonly audio_bps: number | null;
  readonly frame_rate: number | null;
  readonly jitter_ms: number | null;
}

export type Severity = 'problem' | 'warning' | 'hint';

export interface Finding {
  readonly code: string;
  readonly severity: Severity;
  readonly since: string;
  readonly title: string;
  readonly detail: string;
  readonly remedy: string;
  readonly params: Readonly<Record<string, unknown>>;
}

export interface Report {
  readonly figures: Figures;
  /** Oldest first; in what `/events` sends, the newest alone. */
  readonly history: readonly Point[];
  readonly findings: readonly Finding[];
}

export interface Live {
  readonly state: State;
  readonly since: string | null;
  readonly publisher: {
    readonly protocol: 'rtmp' | 'whip';
    /** The id of the key that it came with. */
    readonly key: string;
    readonly since: string;
  } | null;
  /** A second encoder is connected, and takes over when the first is lost. */
  readonly standby: boolean;
  readonly viewers: {
    readonly total: number;
    readonly by_path: Readonly<Record<string, number>>;
    readonly by_edge: readonly {
      readonly edge: string;
      readonly total: number;
      readonly by_path: Readonly<Record<string, number>>;
    }[];
  };
  readonly report: Report | null;
}

export interface ViewerKey {
  readonly kid: string;
  readonly created_at: string;
  readonly retired_at: string | null;
  readonly source: 'own' | 'imported';
}

export const WEBHOOK_EVENTS = [
  'broadcast.live',
  'broadcast.away',
  'broadcast.ended',
  'finding.appeared',
  'finding.gone',
] as const;
export type WebhookEvent = (typeof WEBHOOK_EVENTS)[number];

export interface Webhook {
  readonly id: string;
  readonly url: string;
  readonly events: readonly WebhookEvent[];
  readonly broadcast: string | null;
  readonly active: boolean;
  readonly created_at: string;
  readonly rev: number;
  readonly last: {
    readonly at: string;
    readonly status: number | null;
    readonly error: string | null;
    readonly attempts: number;
  } | null;
}

export interface Delivery {
  readonly id: string;
  readonly event: WebhookEvent;
  readonly broadcast: string;
  readonly at: string;
  readonly attempts: number;
  readonly status: number | null;
  readonly error: string | null;
  readonly next_at: string | null;
}
