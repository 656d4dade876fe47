//! The checked configuration: what every other module works from. Impossible combinations do not exist here.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use http::{HeaderName, Uri};

use super::{Receiver, SharedLimits};
use crate::types::{KeyRecord, Limits, Pattern, PriceTable, Secret};

/// Everything, checked.
#[derive(Clone, Debug)]
pub struct Config {
    /// The data plane's listener and bounds.
    pub proxy: Proxy,
    /// In the order of the file: the first that matches a request takes it.
    pub upstreams: Vec<Upstream>,
    /// Who may call.
    pub guard: Guard,
    /// How much callers may use.
    pub limits: LimitSet,
    /// The store through which processes share the limits of keys and organizations, when configured.
    pub shared_limits: Option<SharedLimits>,
    /// What tokens cost.
    pub prices: Arc<PriceTable>,
    /// Which tokenizer counts for which models, in order, before the built-in table.
    pub tokenizers: Vec<Tokenizer>,
    /// Where usage events go.
    pub events: Events,
    /// The control plane, when it runs here.
    pub control: Option<Control>,
    /// Where `/livez`, `/readyz` and `/metrics` are served.
    pub ops: Listen,
    /// How logs look.
    pub log: Log,
    /// Names this process in the `source` of its events.
    pub instance: String,
    /// Where this process runs, for the event.
    pub workload: Option<Workload>,
}

/// An address to listen on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Listen {
    /// Address and port; port 0 takes a free one.
    pub address: SocketAddr,
}

/// The data plane.
#[derive(Clone, Debug)]
pub struct Proxy {
    /// Where clients connect.
    pub listen: Listen,
    /// Serve TLS, when set.
    pub tls: Option<Tls>,
    /// Larger request bodies are refused.
    pub max_request_bytes: u64,
    /// More connections than this wait to be accepted.
    pub max_connections: usize,
    /// What happens upstream when the client leaves, unless the upstream says otherwise.
    pub disconnect: Disconnect,
    /// A client must send its whole request head within this time.
    pub header_timeout: Duration,
    /// A client that neither reads nor writes for this long is cut.
    pub idle_timeout: Duration,
    /// How long streams may go on after SIGTERM.
    pub drain_timeout: Duration,
}

/// Certificate and key files. They are read anew at each reload.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tls {
    /// PEM chain.
    pub cert: PathBuf,
    /// PEM private key.
    pub key: PathBuf,
}

/// What happens to the upstream's answer when the client leaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Disconnect {
    /// Cut the upstream; count what was delivered.
    Abort,
    /// Read on to the usage, within bounds.
    Drain,
}

/// One upstream.
#[derive(Clone, Debug)]
pub struct Upstream {
    /// Its name in events and metrics.
    pub name: Arc<str>,
    /// Scheme, host, port and an optional path prefix.
    pub url: Uri,
    /// The wire format it speaks.
    pub dialect: DialectChoice,
    /// The credential it is called with. Absent in mode `open`: the client's own passes through.
    pub credential: Option<Credential>,
    /// Which requests it takes. All empty: every request.
    pub matching: Matching,
    /// Ask for usage in streams, and hide the extra chunk from clients that did not.
    pub inject_usage: bool,
    /// Overrides `proxy.disconnect`.
    pub disconnect: Disconnect,
    /// How long each step may take.
    pub timeouts: Timeouts,
    /// Speak HTTP/2 to it even without TLS (prior knowledge).
    pub http2: bool,
    /// Who runs the model, for the event; by default worked out from the host.
    pub provider: Arc<str>,
}

/// A wire format, or a look at each request's path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DialectChoice {
    /// By path.
    Auto,
    /// OpenAI's.
    OpenAi,
    /// Anthropic's.
    Anthropic,
    /// Google's, Vertex included.
    Google,
    /// Amazon Bedrock's.
    Bedrock,
    /// Ollama's.
    Ollama,
    /// Cohere's.
    Cohere,
    /// UsageGuard's.
    UsageGuard,
    /// LLMstudio's.
    LlmStudio,
    /// BRConnector's, which is nearly OpenAI's.
    BrConnector,
}

/// The credential an upstream is called with.
#[derive(Clone, Debug)]
pub struct Credential {
    /// Which header carries it; `Authorization` by default, as `Bearer`.
    pub header: HeaderName,
    /// The value, with its scheme.
    pub value: Secret,
}

/// Which requests an upstream takes: a request must match every list that is not empty.
#[derive(Clone, Debug, Default)]
pub struct Matching {
    /// By the model that the request names.
    pub models: Vec<Pattern>,
    /// By path.
    pub paths: Vec<Pattern>,
    /// By the host that the client asked for.
    pub hosts: Vec<Pattern>,
    /// By the `x-connection-id` header.
    pub connection_ids: Vec<Pattern>,
}

/// How long each step of a call upstream may take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timeouts {
    /// To a connection, TLS included.
    pub connect: Duration,
    /// From the request to the first byte of the answer's head.
    pub first_byte: Duration,
    /// Between two frames of the answer's body.
    pub idle: Duration,
}

/// Who may call.
#[derive(Clone, Debug)]
pub struct Guard {
    /// Where keys are known from.
    pub mode: GuardMode,
    /// Headers that may name the organization, in order of preference.
    pub organization_headers: Vec<HeaderName>,
}

/// Where keys are known from.
#[derive(Clone, Debug)]
pub enum GuardMode {
    /// Everyone may call; nothing is checked.
    Open,
    /// From a keys file, from this process's control plane, or from both: the file is looked at first.
    Keys {
        /// The file, watched for changes.
        file: Option<PathBuf>,
        /// Its records.
        records: Arc<Vec<KeyRecord>>,
    },
    /// From an authority elsewhere.
    Remote(Remote),
}

/// An authority elsewhere: a Tollgate control plane, or a server of the original guard API.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Remote {
    /// Where its guard API is: the paths under `/api/guard/` follow.
    pub url: Uri,
    /// The `SecretKey` to ask it with; without one each client's own is passed on.
    pub secret: Option<Secret>,
    /// How long an answer holds. The authority may say less.
    pub ttl: Duration,
    /// How long a refusal holds.
    pub negative_ttl: Duration,
    /// How long keys that were good go on when the authority does not answer.
    pub grace: Duration,
}

/// The control plane.
#[derive(Clone, Debug)]
pub struct Control {
    /// What it keeps everything in.
    pub database: Database,
    /// The key that may administer.
    pub admin_key: Option<Secret>,
    /// The `SecretKey` that callers of the guard API must send. Without one only the store's deployments may ask.
    pub guard_secret: Option<Secret>,
}

/// A database.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Database {
    /// SQLite, in this file.
    Sqlite(PathBuf),
    /// PostgreSQL, at this URL, which may hold a password.
    Postgres(Secret),
}

/// Limits by scope.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LimitSet {
    /// For each key whose record has none of its own; in mode `open` for all callers together.
    pub key: Limits,
    /// For each organization.
    pub organization: Limits,
    /// For this process.
    pub overall: Limits,
}

/// Which tokenizer counts for some models.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tokenizer {
    /// The models.
    pub models: Vec<Pattern>,
    /// What it knows.
    pub vocabulary: Vocabulary,
    /// What a chat costs beside its text, where that is known.
    pub overhead: Option<Overhead>,
}

/// What a tokenizer knows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Vocabulary {
    /// One of OpenAI's.
    BuiltIn(Encoding),
    /// A `tokenizer.json` in Hugging Face's format.
    File(Arc<Path>),
}

/// A vocabulary that is built in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Encoding {
    /// `o200k_base`, since GPT-4o.
    O200k,
    /// `cl100k_base`: GPT-4, GPT-3.5 and the embedding models.
    Cl100k,
}

/// Tokens that a chat costs beside its text.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Overhead {
    /// For each message.
    pub per_message: u64,
    /// For each name that a message has.
    pub per_name: u64,
    /// For the beginning of the answer.
    pub per_answer: u64,
}

/// Where usage events go.
#[derive(Clone, Debug)]
pub struct Events {
    /// The write-ahead log.
    pub spool: Spool,
    /// Kafka, when configured.
    pub kafka: Option<Kafka>,
    /// A file of JSON lines, when configured.
    pub file: Option<File>,
    /// Receivers by HTTP.
    pub http: Vec<Receiver>,
}

/// The write-ahead log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Spool {
    /// Its directory, made when absent.
    pub dir: PathBuf,
    /// The most that it may take on disk.
    pub max_bytes: u64,
    /// What happens to requests when it is full.
    pub when_full: WhenFull,
    /// What a recorded event survives.
    pub sync: SyncMode,
}

/// What happens to requests when the spool is full.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WhenFull {
    /// Refuse with 503.
    Reject,
    /// Let them through unrecorded and count them.
    Drop,
}

/// What a recorded event survives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SyncMode {
    /// The death of the process.
    Process,
    /// The loss of power.
    Disk,
}

/// The Kafka sink.
#[derive(Clone, Debug)]
pub struct Kafka {
    /// `host:port,…`
    pub brokers: String,
    /// The topic, which must exist.
    pub topic: String,
    /// CloudEvents mode.
    pub format: KafkaFormat,
    /// librdkafka settings over ours, SASL and TLS among them. Values may be secret.
    pub properties: Vec<(String, Secret)>,
}

/// CloudEvents mode of Kafka messages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KafkaFormat {
    /// The whole event as the message's value.
    Structured,
    /// Attributes as headers, `data` as the value.
    Binary,
}

/// The file sink.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct File {
    /// The file; `-` is standard output.
    pub path: PathBuf,
}

/// How logs look.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Log {
    /// Text or JSON.
    pub format: LogFormat,
    /// A `tracing` filter such as `info` or `tollgate=debug`.
    pub filter: String,
}

/// Text or JSON.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogFormat {
    /// For people.
    Text,
    /// One JSON object per line.
    Json,
}

/// Where this process runs.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Workload {
    /// Cluster name.
    pub cluster: Option<String>,
    /// Kubernetes namespace.
    pub namespace: Option<String>,
    /// Pod name.
    pub pod: Option<String>,
    /// Node name.
    pub node: Option<String>,
    /// Service account.
    pub service_account: Option<String>,
}
