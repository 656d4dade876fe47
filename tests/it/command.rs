//! The command as a person or a script sees it: exit codes, messages, the tour.

use std::io::Write;
use std::process::{Command, Output, Stdio};

use crate::support::unset;

fn tollgate(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_tollgate"));
    unset(command.args(arguments));
    command
}

fn run(arguments: &[&str], folder: &std::path::Path) -> Output {
    tollgate(arguments).current_dir(folder).output().unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

#[test]
fn the_demo_shows_what_it_promises() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("data");
    let output = run(
        &["demo", "--once", "--listen", "127.0.0.1:0", "--ops-listen", "127.0.0.1:0", "--data", data.to_str().unwrap()],
        dir.path(),
    );
    let (out, err) = (text(&output.stdout), text(&output.stderr));
    assert_eq!(output.status.code(), Some(0), "{out}\n{err}");
    for expected in [
        "200 chat demo whole in=",
        "200 chat demo stream in=",
        "ttft=",
        "401 ",
        "429 chat demo",
        "\"specversion\": \"1.0\"",
        "export OPENAI_BASE_URL=http://127.0.0.1:",
        "export OPENAI_API_KEY=tg-",
        "curl -N $OPENAI_BASE_URL/chat/completions",
        "/metrics",
        "usage.jsonl",
    ] {
        assert!(out.contains(expected), "no {expected} in\n{out}");
    }
    let events = std::fs::read_to_string(data.join("usage.jsonl")).unwrap();
    assert_eq!(events.lines().count(), 4, "one event per known caller's request");
    let key = out.lines().find_map(|line| line.trim().strip_prefix("export OPENAI_API_KEY=")).unwrap();
    assert!(!events.contains(key), "no key in an event");
}

#[test]
fn the_demo_ends_on_an_interrupt_and_takes_other_ports_where_the_usual_are_busy() {
    let dir = tempfile::tempdir().unwrap();
    // Both usual ports are taken, by us or by somebody else: either is the case that counts.
    let _busy = [4141, 4142].map(|port| std::net::TcpListener::bind(("127.0.0.1", port)));
    let data = dir.path().join("data");
    let mut demo = tollgate(&["demo", "--data", data.to_str().unwrap()])
        .current_dir(dir.path())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut out = std::io::BufReader::new(demo.stdout.take().unwrap());
    let mut said = String::new();
    while !said.contains("export OPENAI_API_KEY=") {
        assert!(std::io::BufRead::read_line(&mut out, &mut said).unwrap() > 0, "{said}");
    }
    assert!(!said.contains("127.0.0.1:4141") && !said.contains("127.0.0.1:4142"), "{said}");
    let killed = Command::new("kill").args(["-INT", &demo.id().to_string()]).status().unwrap();
    assert!(killed.success());
    assert_eq!(demo.wait().unwrap().code(), Some(0), "{said}");
}

#[test]
fn a_busy_address_that_was_asked_for_is_named() {
    let dir = tempfile::tempdir().unwrap();
    let busy = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = busy.local_addr().unwrap().to_string();
    for flags in
        [["--listen", &address, "--ops-listen", "127.0.0.1:0"], ["--listen", "127.0.0.1:0", "--ops-listen", &address]]
    {
        let output = run(&[&["serve", "--upstream", "http://127.0.0.1:9"], &flags[..]].concat(), dir.path());
        assert_eq!(output.status.code(), Some(1), "{}", text(&output.stderr));
        assert!(text(&output.stderr).contains(&address), "{}", text(&output.stderr));
    }
}

#[test]
fn a_bad_id_makes_no_key() {
    let dir = tempfile::tempdir().unwrap();
    for id in ["", &"x".repeat(1000)] {
        for file in [&[][..], &["--file", "keys.yaml"]] {
            let output = run(&[&["keys", "create", "--id", id], file].concat(), dir.path());
            assert_eq!(output.status.code(), Some(2), "{}", text(&output.stderr));
            assert!(output.stdout.is_empty() && !dir.path().join("keys.yaml").exists());
        }
    }
    std::fs::write(dir.path().join("bad.yaml"), "not: a list\n").unwrap();
    let output = run(&["keys", "create", "--id", "a", "--file", "bad.yaml"], dir.path());
    assert_eq!(output.status.code(), Some(2));
    assert!(text(&output.stderr).contains("bad.yaml:"), "{}", text(&output.stderr));
    assert_eq!(std::fs::read_to_string(dir.path().join("bad.yaml")).unwrap(), "not: a list\n");
}

#[test]
fn a_bad_configuration_names_every_problem_with_line_and_remedy_and_exits_2() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("tollgate.yaml"), "proxy:\n  lissten: 127.0.0.1:4141\nupstreams:\n- name: a\n  url: htp://x\nlimits: { requests_per_minute: 0 }\n").unwrap();
    for command in ["serve", "proxy", "check"] {
        let output = run(&[command], dir.path());
        let err = text(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{err}");
        for expected in ["tollgate.yaml:2:3", "listen", "tollgate.yaml:5:", "https://", "tollgate.yaml:6:"] {
            assert!(err.contains(expected), "no {expected} in\n{err}");
        }
    }
}

#[test]
fn check_names_what_fails_with_a_remedy_and_exits_1() {
    let dir = tempfile::tempdir().unwrap();
    // A port that was free a moment ago: nobody listens there.
    let closed = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let open = listener.local_addr().unwrap();
    let config = format!(
        "proxy: {{ listen: 127.0.0.1:0 }}\nops: {{ listen: 127.0.0.1:0 }}\nupstreams:\n- name: gone\n  url: http://{closed}\nevents: {{ http: [{{ url: \"http://{closed}/in\" }}, {{ name: there, url: \"http://{open}\" }}] }}\n"
    );
    std::fs::write(dir.path().join("tollgate.yaml"), config).unwrap();
    let output = run(&["check"], dir.path());
    let out = text(&output.stdout);
    assert_eq!(output.status.code(), Some(1), "{out}");
    assert!(out.contains("FAIL  upstream gone") && out.contains("remedy: "), "{out}");
    assert!(out.contains("FAIL  receiver 127-0-0-1 at") && out.contains("ok    receiver there at"), "{out}");
    assert!(out.contains("ok    the configuration has no problems"), "{out}");
    assert!(out.contains("ok    the spool can be written"), "{out}");
}

#[test]
fn keys_are_made_hashed_and_validated() {
    let dir = tempfile::tempdir().unwrap();
    let made = run(&["keys", "create", "--id", "ci", "--organization", "org", "--file", "keys.yaml"], dir.path());
    assert_eq!(made.status.code(), Some(0), "{}", text(&made.stderr));
    let key = text(&made.stdout).trim().to_owned();
    let file = std::fs::read_to_string(dir.path().join("keys.yaml")).unwrap();
    assert!(!file.contains(&key));
    let mut hashing = tollgate(&["keys", "hash"]).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    hashing.stdin.take().unwrap().write_all(format!("{key}\n").as_bytes()).unwrap();
    let hashed = text(&hashing.wait_with_output().unwrap().stdout);
    assert!(file.contains(hashed.trim()), "the record holds the digest that hash prints");
    let again = run(&["keys", "create", "--id", "ci", "--file", "keys.yaml"], dir.path());
    assert_eq!(again.status.code(), Some(2), "an id that is there is refused");
    assert_eq!(std::fs::read_to_string(dir.path().join("keys.yaml")).unwrap(), file, "and nothing changed");
    assert_eq!(run(&["keys", "check", "keys.yaml"], dir.path()).status.code(), Some(0));
    std::fs::write(dir.path().join("bad.yaml"), "- id: a\n  key: { sha256: xyz }\n- id: a\n").unwrap();
    let checked = run(&["keys", "check", "bad.yaml"], dir.path());
    assert_eq!(checked.status.code(), Some(2));
    assert!(
        text(&checked.stderr).lines().filter(|line| line.contains("bad.yaml:")).count() >= 2,
        "{}",
        text(&checked.stderr)
    );
}

#[test]
fn wrong_usage_exits_2_and_help_teaches() {
    let dir = tempfile::tempdir().unwrap();
    assert_eq!(run(&["no-such-command"], dir.path()).status.code(), Some(2));
    let help = run(&["--help"], dir.path());
    assert_eq!(help.status.code(), Some(0));
    for expected in ["tollgate demo", "serve --upstream", "Exit codes"] {
        assert!(text(&help.stdout).contains(expected), "{}", text(&help.stdout));
    }
    let none = run(&["serve"], dir.path());
    assert_eq!(none.status.code(), Some(2));
    assert!(text(&none.stderr).contains("--upstream"), "{}", text(&none.stderr));
    assert_eq!(run(&["completions", "bash"], dir.path()).status.code(), Some(0));
}

#[cfg(feature = "control")]
#[test]
fn keys_of_the_store_are_made_changed_exported_and_imported() {
    let dir = tempfile::tempdir().unwrap();
    let keys = |arguments: &[&str]| {
        let output = run(&[&["keys"], arguments, &["--database", "sqlite://tollgate.db"]].concat(), dir.path());
        (output.status.code().unwrap(), text(&output.stdout), text(&output.stderr))
    };
    let (code, key, told) = keys(&["create", "--id", "ci", "--organization", "org_a"]);
    assert_eq!((code, key.trim().len()), (0, 46), "{told}");
    assert!(told.contains("the organization org_a was made"), "{told}");
    assert_eq!(keys(&["create", "--id", "ci"]).0, 2, "the id is taken");
    let listed = keys(&["list"]).1;
    assert!(listed.contains("ci") && listed.contains("enabled") && listed.contains(&key[..7]), "{listed}");
    assert!(!listed.contains(key.trim()), "a key is shown once");
    let written: serde_json::Value = serde_json::from_str(&keys(&["list", "--format", "json"]).1).unwrap();
    assert_eq!((&written[0]["id"], &written[0]["state"]), (&"ci".into(), &"enabled".into()));
    assert!(written[0]["tokens_per_minute"].is_null(), "{written}");
    let csv = keys(&["list", "--format", "csv"]).1;
    assert!(csv.starts_with("id,key,state,created,") && csv.contains("\r\nci,"), "{csv}");
    assert_eq!(keys(&["limit", "ci", "--requests-per-minute", "60"]).0, 0);
    assert_eq!(keys(&["recharge", "ci", "12.5"]).1, "12.500000000\n");
    assert_eq!(keys(&["recharge", "ci", "--", "-1"]).0, 2);
    assert_eq!(keys(&["disable", "ci"]).0, 0);
    let shown: serde_json::Value = serde_json::from_str(&keys(&["show", "ci"]).1).unwrap();
    assert_eq!((&shown["enabled"], &shown["balance_usd"]), (&false.into(), &12.5.into()));
    assert_eq!(shown["limits"]["requests_per_minute"], 60);
    let exported = keys(&["export"]).1;
    std::fs::write(dir.path().join("keys.yaml"), &exported).unwrap();
    assert_eq!(run(&["keys", "check", "keys.yaml"], dir.path()).status.code(), Some(0), "{exported}");
    assert_eq!(keys(&["import", "keys.yaml"]).1, "0 keys taken in, 1 were there already\n");
    let other = run(&["keys", "import", "keys.yaml", "--database", "sqlite://other.db"], dir.path());
    assert_eq!(text(&other.stdout), "1 keys taken in, 0 were there already\n", "{}", text(&other.stderr));
    let again = run(&["keys", "export", "--database", "sqlite://other.db"], dir.path());
    assert_eq!(text(&again.stdout), exported);
    assert_eq!(keys(&["delete", "ci"]).0, 0);
    assert_eq!(keys(&["show", "ci"]).0, 2);
    assert_eq!(run(&["keys", "list"], dir.path()).status.code(), Some(2), "no control plane is configured");
}
