//! Tests of the whole way from sources to a configuration. `tests/fixtures/config/invalid/*.problems` hold the exact
//! lines; `TOLLGATE_TEST_BLESS=1` writes them anew.

mod sources;

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::types::{Digest, NanoUsd, Pattern, Secret};

use super::{
    Database, DialectChoice, Disconnect, Encoding, GuardMode, KafkaFormat, Loaded, LogFormat, Organizations, Overhead,
    Problems, ReceiverFormat, Sources, SyncMode, Vocabulary, WhenFull, load, load_keys, load_prices,
};

const KEY: &str = "sk-test-0123";

fn fixtures(kind: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/config").join(kind)
}

fn sources(directory: &Path, file: &str) -> Sources {
    Sources {
        file: Some(file.into()),
        environment: vec![("OPENAI_API_KEY".into(), KEY.into()), ("HOSTNAME".into(), "host-1".into())],
        flags: Vec::new(),
        directory: directory.to_owned(),
    }
}

fn valid(file: &str) -> Loaded {
    load(&sources(&fixtures("valid"), file)).unwrap_or_else(|problems| panic!("{file}:\n{problems}"))
}

/// Sources without a file, in an empty directory.
fn bare(directory: &tempfile::TempDir, environment: &[(&str, &str)], flags: &[(&str, &str)]) -> Sources {
    let own = |pairs: &[(&str, &str)]| pairs.iter().map(|(a, b)| ((*a).into(), (*b).into())).collect();
    Sources { file: None, environment: own(environment), flags: own(flags), directory: directory.path().to_owned() }
}

fn written(directory: &tempfile::TempDir, text: &str) -> Sources {
    fs::write(directory.path().join("tollgate.yaml"), text).unwrap();
    bare(directory, &[], &[])
}

fn lines(problems: &Problems, directory: &Path) -> String {
    problems.to_string().replace(&format!("{}/", directory.display()), "") + "\n"
}

fn problems(sources: &Sources) -> String {
    lines(&load(sources).expect_err("a bad configuration was accepted"), &sources.directory)
}

fn warnings(loaded: &Loaded) -> Vec<String> {
    loaded.warnings.iter().map(ToString::to_string).collect()
}

#[test]
fn every_problem_is_told_at_once_with_its_place_and_no_secret() {
    let directory = fixtures("invalid");
    let mut seen = 0;
    for entry in fs::read_dir(&directory).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_none_or(|extension| extension != "yaml") {
            continue;
        }
        let found = problems(&sources(&directory, path.file_name().unwrap().to_str().unwrap()));
        let golden = path.with_extension("problems");
        if std::env::var_os("TOLLGATE_TEST_BLESS").is_some() {
            fs::write(&golden, &found).unwrap();
        }
        assert_eq!(found, fs::read_to_string(&golden).unwrap(), "{}", path.display());
        assert!(!found.contains("hunter2") && !found.contains(KEY), "a secret in:\n{found}");
        seen += 1;
    }
    assert!(seen >= 10, "{seen} fixtures");
}

#[test]
fn of_very_many_problems_a_hundred_are_told_and_the_others_counted() {
    let directory = tempfile::tempdir().unwrap();
    let keys = (0..50_000).fold(String::new(), |keys, number| keys + &format!("\n  listten{number}: 1"));
    let found = problems(&written(&directory, &format!("upstreams: [{{ url: http://127.0.0.1 }}]\nproxy:{keys}\n")));
    let lines: Vec<_> = found.lines().collect();
    assert_eq!((lines.len(), lines[100]), (101, "and 49900 more"));
    assert!(lines[..100].iter().all(|line| line.contains("is not a known key")), "{}", lines[0]);
}

#[test]
fn the_example_of_the_design_is_accepted() {
    let Loaded { config, warnings, watched } = valid("design.yaml");
    assert_eq!(warnings, []);
    let names: Vec<_> = watched.iter().map(|path| path.file_name().unwrap().to_str().unwrap()).collect();
    assert_eq!(names, ["design.yaml", "keys.yaml", "prices.yaml"]);
    let upstream = &config.upstreams[0];
    let credential = upstream.credential.as_ref().unwrap();
    assert_eq!((credential.header.as_str(), credential.value.expose()), ("authorization", "Bearer sk-test-0123"));
    assert_eq!(upstream.matching.models.iter().map(ToString::to_string).collect::<Vec<_>>(), ["gpt-*", "o*"]);
    assert_eq!(config.limits.key.tokens_per_minute, Some(100_000));
    assert_eq!(config.events.kafka.unwrap().topic, "tollgate.usage.v1");
    assert_eq!(config.events.spool.dir, fixtures("valid").join("./data/spool"));
    let GuardMode::Keys { records, .. } = config.guard.mode else { panic!("not mode keys") };
    assert_eq!((records[0].key, records[0].enabled), (Digest::of(b"abc"), true));
    assert_eq!(records[0].secret.unwrap().to_hex(), "1".repeat(64), "a digest of digits alone is not a number");
    assert_eq!(records[0].expires.unwrap().to_string(), "2027-01-01T00:00:00.000Z");
    assert_eq!((records[1].id.as_str(), records[1].enabled), ("42", false));
    assert_eq!(&*config.prices.version, "2026-11-01");
    assert_eq!(config.prices.find("gpt-4o-mini-2024").unwrap().input, NanoUsd(150_000_000));
    assert_eq!(config.prices.find("gpt-4o").unwrap().reasoning, Some(NanoUsd(12_000_000_000)));
}

#[test]
fn every_key_reaches_the_checked_configuration() {
    let Loaded { config, warnings, .. } = valid("full.yaml");
    assert_eq!(warnings, []);
    let (proxy, local, openai) = (&config.proxy, &config.upstreams[0], &config.upstreams[1]);
    assert_eq!((proxy.max_request_bytes, proxy.max_connections), (1 << 20, 100));
    assert_eq!((proxy.header_timeout, proxy.idle_timeout), (Duration::from_millis(250), Duration::from_mins(5)));
    assert_eq!((proxy.disconnect, proxy.drain_timeout), (Disconnect::Drain, Duration::ZERO));
    let GuardMode::Remote(remote) = &config.guard.mode else { panic!("not mode remote") };
    assert_eq!((remote.url.to_string(), remote.secret.is_some()), ("https://authority:4141/team".into(), true));
    let [ttl, negative, grace] = [30, 1, 3600].map(Duration::from_secs);
    assert_eq!((remote.ttl, remote.negative_ttl, remote.grace), (ttl, negative, grace));
    assert_eq!((&*local.name, &*local.provider, local.dialect), ("local", "acme", DialectChoice::OpenAi));
    assert_eq!(local.url, "http://models.svc:8000/prefix");
    assert_eq!((local.http2, local.inject_usage, local.disconnect), (true, false, Disconnect::Abort));
    assert_eq!((local.timeouts.connect, local.timeouts.idle), (Duration::from_secs(1), Duration::from_hours(1)));
    let [llama, gpt] = config.tokenizers.as_slice() else { panic!("{:?}", config.tokenizers) };
    assert_eq!(llama.models.iter().map(Pattern::as_str).collect::<Vec<_>>(), ["llama-3*", "my-llama"]);
    assert_eq!(llama.overhead, Some(Overhead { per_message: 4, per_name: 0, per_answer: 3 }));
    assert_eq!((&gpt.vocabulary, gpt.overhead), (&Vocabulary::BuiltIn(Encoding::O200k), None));
    let credential = local.credential.as_ref().unwrap();
    assert_eq!((credential.header.as_str(), credential.value.expose()), ("x-api-key", "from-a-file"));
    assert_eq!(local.matching.hosts[0].as_str(), "llm.local");
    assert_eq!(local.matching.connection_ids.len(), 2);
    assert_eq!((&*openai.name, &*openai.provider, openai.disconnect), ("openai", "openai", Disconnect::Drain));
    assert_eq!(config.guard.organization_headers, ["x-team"]);
    assert_eq!(config.limits.organization.tokens_per_minute, Some(2));
    let control = config.control.as_ref().unwrap();
    assert_eq!(control.database, Database::Sqlite(fixtures("valid").join("./data/tollgate.db")));
    assert_eq!(control.admin_key.as_ref().map(Secret::expose), Some("from-a-file"));
    assert_eq!(control.guard_secret.as_ref().map(Secret::expose), Some(KEY));
    assert_eq!(config.limits.overall.concurrent_requests, Some(3));
    assert_eq!(config.events.spool.dir, Path::new("/var/spool/tollgate"));
    assert_eq!((config.events.spool.when_full, config.events.spool.sync), (WhenFull::Drop, SyncMode::Disk));
    assert_eq!(config.events.file, None, "with other sinks there is no default file");
    let kafka = config.events.kafka.unwrap();
    assert_eq!((kafka.brokers.as_str(), kafka.format), ("kafka-1:9092,kafka-2:9092", KafkaFormat::Binary));
    let properties: Vec<_> = kafka.properties.iter().map(|(name, value)| (name.as_str(), value.expose())).collect();
    assert_eq!(properties, [("security.protocol", "SASL_SSL"), ("linger.ms", "5"), ("sasl.password", KEY)]);
    let [batch, guard] = config.events.http.as_slice() else { panic!("{:?}", config.events.http) };
    assert_eq!((&*batch.name, batch.url.to_string()), ("events-internal", "https://events.internal/in".into()));
    assert_eq!((batch.timeout, batch.in_flight), (Duration::from_secs(2), 2));
    assert!(matches!(batch.format, ReceiverFormat::Batch(10)), "{:?}", batch.format);
    let headers: Vec<_> = batch.headers.iter().map(|(name, value)| (name.as_str(), value.expose())).collect();
    assert_eq!(headers, [("x-team", "research"), ("authorization", KEY)]);
    assert_eq!((&*guard.name, guard.in_flight), ("guard", 8));
    assert_eq!(guard.url.to_string(), "http://events.internal:3000/team/api/guard/log-usage");
    let ReceiverFormat::LogUsage(whose) = &guard.format else { panic!("{:?}", guard.format) };
    assert_eq!((whose.secret.expose(), whose.organizations), ("from-a-file", Organizations::Untold));
    assert_eq!(whose.others.as_ref().map(Secret::expose), Some(KEY));
    assert_eq!(whose.keys.get("acme-ci").map(Secret::expose), Some(KEY));
    assert_eq!((config.log.format, config.log.filter.as_str()), (LogFormat::Json, "tollgate=debug,info"));
    assert_eq!(config.instance, "gateway-0");
    assert_eq!(config.workload.unwrap().node.as_deref(), Some("node-7"));
}

#[test]
fn json_is_accepted_where_yaml_is() {
    let config = valid("json.json").config;
    assert_eq!(config.upstreams[0].url, "https://api.openai.com");
    assert!(!config.upstreams[0].inject_usage);
    assert_eq!(config.proxy.max_connections, 5);
    assert_eq!(config.instance, "host-1");
}

#[test]
fn a_control_plane_needs_no_upstream_and_makes_its_store_the_guards() {
    let directory = tempfile::tempdir().unwrap();
    let with = |environment: &[(&str, &str)], flags: &[(&str, &str)]| {
        load(&bare(&directory, environment, flags)).map(|loaded| loaded.config).map_err(|problems| problems.to_string())
    };
    let config = with(&[("GUARD_SECRET_KEY", "gs"), ("ADMIN_API_KEY", "ak")], &[]).unwrap();
    let control = config.control.unwrap();
    assert_eq!(control.database, Database::Sqlite(directory.path().join("./data/tollgate.db")));
    assert_eq!(control.guard_secret.as_ref().map(Secret::expose), Some("gs"));
    assert_eq!(control.admin_key.as_ref().map(Secret::expose), Some("ak"));
    assert!(matches!(config.guard.mode, GuardMode::Keys { file: None, .. }), "keys are asked for");
    let config = with(&[], &[("control", "{}"), ("guard.mode", "open")]).unwrap();
    assert!(config.control.unwrap().guard_secret.is_none());
    assert!(matches!(config.guard.mode, GuardMode::Open));

    let database = |text| with(&[], &[("control.database", text)]).map(|config| config.control.unwrap().database);
    let url = "postgres://tollgate:hunter2@db/tollgate?sslmode=verify-full";
    assert_eq!(database(url), Ok(Database::Postgres(Secret::new(url))));
    assert_eq!(database("sqlite:///var/lib/x.db"), Ok(Database::Sqlite("/var/lib/x.db".into())));
    let refused = database("mysql://tollgate:hunter2@db/tollgate").unwrap_err();
    assert!(refused.contains("'mysql' is no database that is known here") && !refused.contains("hunter2"), "{refused}");
    assert!(with(&[], &[("control.secret", "x")]).unwrap_err().contains("is not a known key"));
    assert!(with(&[], &[("guard.mode", "keys"), ("upstream", "http://x")]).unwrap_err().contains("control: {}"));
}

#[test]
fn what_is_allowed_and_probably_not_meant_is_a_warning() {
    let directory = tempfile::tempdir().unwrap();
    fs::write(directory.path().join("keys.yaml"), "[{ id: a, key: abc, budget: { period: day, usd: 5 } }]").unwrap();
    let text = "\
proxy: { listen: 0.0.0.0:4141 }
upstreams:
  - { name: a, url: http://a, credential: { value: sk-hunter2 } }
  - { name: b, url: http://b, match: { models: [b] } }
guard: { mode: open, keys: { file: keys.yaml } }
control: { database: postgres://t:hunter2@db/x }
";
    let loaded = load(&written(&directory, text)).unwrap();
    let found = warnings(&loaded).join("\n").replace(&format!("{}/", directory.path().display()), "");
    let want = "\
tollgate.yaml:1:1: everyone who reaches 0.0.0.0:4141 may call, without a key and in plain text. Listen on 127.0.0.1, or set guard.mode to keys and proxy.tls.
tollgate.yaml:3:52: upstreams[0].credential.value: the secret stands in the configuration itself. Write { env: NAME } or { file: PATH }.
tollgate.yaml:4:5: upstreams[1]: it gets no request, because 'a' before it takes them all. Put it first, or give the other a 'match'.
tollgate.yaml:5:28: guard.keys: with mode 'open' no key is asked for. Set mode: keys, or take the keys out.
tollgate.yaml:6:22: control.database: the password stands in the configuration itself. Write { env: NAME } or { file: PATH } for the whole URL.";
    assert_eq!(found, want);

    let loaded = load(&written(&directory, "upstreams: [{ url: http://a }]\nguard: { keys: { file: keys.yaml } }\n"));
    let found = warnings(&loaded.unwrap()).join("\n").replace(&format!("{}/", directory.path().display()), "");
    let want = "\
tollgate.yaml:1:1: the upstream 'a' is called without a credential, because a client's key stays here. Give it a 'credential', unless it needs none.
keys.yaml:1:16: [0].key: stands here in plain text. Write { sha256: ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad } instead.";
    assert_eq!(found, want);
}

#[test]
fn a_bad_file_is_refused_whole_and_a_mended_one_is_taken() {
    let directory = tempfile::tempdir().unwrap();
    let sources = written(&directory, "upstreams: [{ url: http://one }]\n");
    let before = load(&sources).unwrap();
    written(
        &directory,
        "upstreams: [{ url: http://two }]\nlimits: { requests_per_minute: x }\nguard: { keys: { file: k } }\n",
    );
    let refused = load(&sources).unwrap_err();
    assert_eq!(refused.iter().count(), 2);
    assert!(refused.watched().contains(&directory.path().join("k")), "a missing file is worth watching for");
    assert_eq!(before.config.upstreams[0].url, "http://one");
    written(&directory, "upstreams: [{ url: http://two }]\n");
    assert_eq!(load(&sources).unwrap().config.upstreams[0].url, "http://two");
}

#[test]
fn tls_files_are_read_and_watched() {
    let directory = tempfile::tempdir().unwrap();
    let own = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
    fs::write(directory.path().join("cert.pem"), own.cert.pem()).unwrap();
    fs::write(directory.path().join("key.pem"), own.signing_key.serialize_pem()).unwrap();
    let mut sources =
        written(&directory, "proxy: { tls: { cert: cert.pem, key: key.pem } }\nupstreams: [{ url: http://a }]\n");
    let loaded = load(&sources).unwrap();
    let tls = loaded.config.proxy.tls.unwrap();
    assert_eq!(tls.key, directory.path().join("key.pem"));
    assert!(loaded.watched.contains(&tls.cert) && loaded.watched.contains(&tls.key));
    sources.flags.push(("proxy.tls.key".into(), directory.path().join("cert.pem").display().to_string()));
    let want = "command line: proxy.tls.key: cert.pem holds no private key in PEM form. Name a PEM file that does.\n";
    assert_eq!(problems(&sources).replace("Check the path and who may read it.", "Name a PEM file that does."), want);
}

#[test]
fn neither_sources_nor_what_was_loaded_print_a_secret() {
    let sources = sources(&fixtures("valid"), "full.yaml");
    let printed = format!("{sources:?} {:?}", load(&sources).unwrap());
    assert!(!printed.contains(KEY) && !printed.contains("from-a-file"), "{printed}");
}

#[test]
fn keys_and_prices_can_be_checked_on_their_own() {
    let (keys, warnings) = load_keys(&fixtures("valid/files/keys.yaml")).unwrap();
    assert_eq!((keys.len(), warnings.len()), (2, 0));
    assert!(keys[0].allows_model("demo"));
    assert!(load_keys(&fixtures("invalid/files/keys.yaml")).unwrap_err().iter().count() > 5);
    assert_eq!(load_prices(&fixtures("valid/files/prices.yaml")).unwrap().0.rows.len(), 2);
    let missing = load_keys(Path::new("/none/keys.yaml")).unwrap_err().to_string();
    assert!(missing.starts_with("/none/keys.yaml: cannot be read: "), "{missing}");
}

#[test]
fn the_built_in_prices_are_sound() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/config/prices.default.yaml");
    let (table, warnings) = load_prices(&path).unwrap();
    assert_eq!(warnings, [], "every row can be reached");
    let input = |model: &str| table.find(model).map(|price| price.input.as_usd());
    assert_eq!(input("gpt-4o-2024-08-06"), Some(2.5));
    assert_eq!(input("gpt-4o-mini-2024-07-18"), Some(0.15));
    assert_eq!(input("claude-sonnet-4-5-20250929"), Some(3.0));
    assert_eq!(input("demo"), Some(0.1));
    assert_eq!(input("gpt-4o-audio-preview"), None, "no price rather than a wrong one");
    for row in &table.rows {
        assert!(row.cache_read.is_none_or(|read| read <= row.input), "{}", row.models);
    }
}

#[test]
fn a_tokenizer_file_is_found_beside_the_configuration_and_watched() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("tokenizer.json");
    fs::write(&file, "{}").unwrap();
    let text = "upstreams: [{ url: 'http://127.0.0.1:1' }]\ntokenizers: [{ models: [a], file: tokenizer.json }]";
    let loaded = load(&written(&directory, text)).unwrap();
    assert_eq!(loaded.config.tokenizers[0].vocabulary, Vocabulary::File(file.clone().into()));
    assert!(loaded.watched.contains(&file));
}
