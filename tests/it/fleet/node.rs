//! A process of the fleet, on a folder that outlives it.

use std::net::SocketAddr;

use tempfile::TempDir;

use crate::control::SECRET;
use crate::peers::Program;

/// USD per million tokens, as in the store.
const PRICES: &str = "version: \"test\"\nmodels:\n  \"soak-*\": { input: 30.0, output: 150.0 }\n";
const COMMON: &str = "proxy: { listen: 127.0.0.1:0 }\nops: { listen: 127.0.0.1:0 }\nlog: { format: json, filter: \"info,tollgate::request=off\" }\n";

/// The folder, and which program runs there.
pub(super) struct Place {
    dir: TempDir,
    role: &'static str,
}

impl Place {
    /// A sidecar that asks the authority at this address.
    pub(super) fn sidecar(upstream: &str, authority: SocketAddr, kafka: (&str, &str)) -> Self {
        let own = format!(
            "upstreams:\n- {{ name: mock, url: \"{upstream}\", credential: {{ value: sk-upstream }} }}\nprices: prices.yaml\nguard: {{ mode: remote, remote: {{ url: \"http://{authority}\", secret: {{ value: {SECRET} }} }} }}\n"
        );
        let place = Self::new("proxy", &own, kafka);
        std::fs::write(place.dir.path().join("prices.yaml"), PRICES).unwrap();
        place
    }

    /// A control plane.
    pub(super) fn control(database: &str, kafka: (&str, &str)) -> Self {
        let own = format!("control: {{ database: \"{database}\", guard_secret: {{ value: {SECRET} }} }}\n");
        Self::new("control", &own, kafka)
    }

    fn new(role: &'static str, own: &str, (brokers, topic): (&str, &str)) -> Self {
        let dir = tempfile::tempdir().unwrap();
        // Short waits, so that a run is quick.
        let quick =
            "{ reconnect.backoff.max.ms: 300, topic.metadata.propagation.max.ms: 1000, session.timeout.ms: 6000 }";
        let kafka = format!("kafka: {{ brokers: \"{brokers}\", topic: {topic}, properties: {quick} }}");
        let config = format!("{COMMON}{own}events:\n  spool: {{ dir: spool }}\n  {kafka}\n");
        std::fs::write(dir.path().join("tollgate.yaml"), config).unwrap();
        Self { dir, role }
    }

    /// Starts what belongs here and waits until it serves.
    pub(super) async fn start(&self) -> Program {
        Program::start(self.role, self.dir.path()).await
    }
}
