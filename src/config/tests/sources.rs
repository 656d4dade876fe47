//! Where a configuration comes from: flags, the environment, a file, defaults, and which file.

use std::fs;
use std::net::SocketAddr;
use std::time::Duration;

use super::{bare, problems, written};
use crate::config::{DialectChoice, File, GuardMode, LimitSet, Loaded, Sources, load};

#[test]
fn with_no_file_at_all_an_upstream_is_enough() {
    let directory = tempfile::tempdir().unwrap();
    let Loaded { config, warnings, watched } =
        load(&bare(&directory, &[], &[("upstream", "https://api.openai.com")])).unwrap();
    assert_eq!((warnings, watched), (vec![], vec![]));
    assert!(matches!(config.guard.mode, GuardMode::Open));
    assert_eq!((&*config.upstreams[0].name, config.upstreams[0].dialect), ("openai", DialectChoice::Auto));
    assert!(config.upstreams[0].credential.is_none());
    assert_eq!(config.proxy.listen.address, SocketAddr::from(([127, 0, 0, 1], 4141)));
    assert_eq!(config.ops.address, SocketAddr::from(([127, 0, 0, 1], 4142)));
    assert_eq!(config.events.spool.dir, directory.path().join("./data/spool"));
    assert_eq!(config.events.file, Some(File { path: directory.path().join("./data/usage.jsonl") }));
    assert_eq!((config.limits, config.instance.as_str()), (LimitSet::default(), "local"));
    let organization: Vec<_> = config.guard.organization_headers.iter().map(http::HeaderName::as_str).collect();
    assert_eq!(organization, ["swarms-organization", "openai-organization", "x-organization"]);
}

#[test]
fn without_an_upstream_the_problem_says_how_to_give_one() {
    let directory = tempfile::tempdir().unwrap();
    let want = "configuration: there is no upstream. Give --upstream URL, or list endpoints under 'upstreams:'.\n";
    assert_eq!(problems(&bare(&directory, &[], &[])), want);
}

#[test]
fn flags_win_over_the_environment_over_the_file_over_defaults() {
    let directory = tempfile::tempdir().unwrap();
    let mut sources = written(
        &directory,
        "proxy: { max_connections: 1, idle_timeout: 1s, header_timeout: 1s }\nupstreams: [{ url: http://file }]\n",
    );
    sources.environment = vec![
        ("TOLLGATE_PROXY__MAX_CONNECTIONS".into(), "2".into()),
        ("TOLLGATE_PROXY__IDLE_TIMEOUT".into(), "2s".into()),
        ("TOLLGATE_UPSTREAMS__0__MATCH__MODELS".into(), "a*, b".into()),
        ("TOLLGATE_UPSTREAMS__1__URL".into(), "http://environment".into()),
        ("TOLLGATE_LOG__FORMAT".into(), String::new()),
    ];
    sources.flags = vec![
        ("proxy.max_connections".into(), "3".into()),
        ("guard.headers.organization".into(), "[X-A, X-B]".into()),
        ("proxy.listen".into(), "[::1]:0".into()),
    ];
    let config = load(&sources).unwrap().config;
    assert_eq!(config.proxy.max_connections, 3);
    assert_eq!(config.proxy.idle_timeout, Duration::from_secs(2));
    assert_eq!(config.proxy.header_timeout, Duration::from_secs(1));
    assert_eq!(config.proxy.drain_timeout, Duration::from_secs(25));
    assert_eq!(config.proxy.listen.address, "[::1]:0".parse().unwrap());
    assert_eq!(config.upstreams[0].matching.models[1].as_str(), "b");
    assert_eq!(config.upstreams[1].url, "http://environment");
    assert_eq!(config.guard.organization_headers, ["x-a", "x-b"]);
    sources.flags.push(("upstream".into(), "http://flag".into()));
    let config = load(&sources).unwrap().config;
    assert_eq!(config.upstreams.len(), 1, "the shorthand replaces the list");
    assert_eq!(config.upstreams[0].url, "http://flag");
}

#[test]
fn a_bad_variable_or_flag_is_named_in_its_problem() {
    let directory = tempfile::tempdir().unwrap();
    let environment = [
        ("TOLLGATE_UPSTREAM", "http://x"),
        ("TOLLGATE_PROXY__LISTEN", "here"),
        ("TOLLGATE_PROXI__TLS__CERT", "a"),
        ("TOLLGATE_EVENTS__SPOOL__MAX_BITES", "1"),
        ("TOLLGATE_UPSTREAMS__3__URL", "http://x"),
    ];
    let found = problems(&bare(&directory, &environment, &[("ops.listen", "42")]));
    let want = "\
environment TOLLGATE_EVENTS__SPOOL__MAX_BITES: events.spool.max_bites: is not a known key. Did you mean 'TOLLGATE_EVENTS__SPOOL__MAX_BYTES'?
environment TOLLGATE_PROXI__TLS__CERT: proxi: is not a known key. Did you mean 'TOLLGATE_PROXY__TLS__CERT'?
environment TOLLGATE_PROXY__LISTEN: proxy.listen: 'here' is not an IP address and port. Write it as 127.0.0.1:4141 or [::1]:4141; 0.0.0.0:4141 is every address.
environment TOLLGATE_UPSTREAMS__3__URL: upstreams.3.url: upstreams is shorter than that. Count from 0 and leave no gap.
command line: ops.listen: '42' is not an IP address and port. Write it as 127.0.0.1:4141 or [::1]:4141; 0.0.0.0:4141 is every address.
";
    assert_eq!(found, want);
}

#[test]
fn the_file_is_the_named_one_then_the_default_one() {
    let directory = tempfile::tempdir().unwrap();
    let mut sources = written(&directory, "upstreams: [{ url: http://default }]\n");
    let url = |sources: &Sources| load(sources).map(|loaded| loaded.config.upstreams[0].url.to_string());
    assert_eq!(url(&sources).unwrap(), "http://default/");
    fs::write(directory.path().join("other.yaml"), "upstreams: [{ url: http://other }]\n").unwrap();
    sources.environment.push(("TOLLGATE_CONFIG".into(), "other.yaml".into()));
    assert_eq!(url(&sources).unwrap(), "http://other/");
    sources.file = Some("tollgate.yaml".into());
    assert_eq!(url(&sources).unwrap(), "http://default/");
    sources.file = Some("none.yaml".into());
    assert_eq!(
        problems(&sources),
        "none.yaml: cannot be read: No such file or directory (os error 2). Check the path and who may read it.\n"
    );
}

#[test]
fn a_path_is_relative_to_the_file_or_the_directory_that_it_was_written_in() {
    let directory = tempfile::tempdir().unwrap();
    fs::create_dir(directory.path().join("etc")).unwrap();
    fs::write(directory.path().join("etc/t.yaml"), "events: { spool: { dir: spool }, file: { path: \"-\" } }\n")
        .unwrap();
    let mut sources = bare(&directory, &[("TOLLGATE_CONFIG", "etc/t.yaml")], &[("upstream", "http://x")]);
    let events = load(&sources).unwrap().config.events;
    assert_eq!(events.spool.dir, directory.path().join("etc/spool"));
    assert_eq!(events.file, Some(File { path: "-".into() }));
    sources.flags.push(("events.spool.dir".into(), "spool".into()));
    assert_eq!(load(&sources).unwrap().config.events.spool.dir, directory.path().join("spool"));
}
