//! The README says what the code does: its tables, its examples, its commands.

use std::collections::BTreeSet;
use std::path::Path;

use serde_json::Value;
use tollgate::config::{self, Sources};

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn readme() -> String {
    std::fs::read_to_string(root().join("README.md")).unwrap()
}

/// The first cells of a marked table, each split into the names in backticks that it holds.
fn table(name: &str) -> BTreeSet<String> {
    let readme = readme();
    let (_, rest) = readme.split_once(&format!("<!-- {name} -->")).unwrap();
    let (table, _) = rest.split_once(&format!("<!-- /{name} -->")).unwrap();
    let cells = table.lines().filter(|line| line.starts_with("| `")).map(|line| line.split('|').nth(1).unwrap());
    cells.flat_map(|cell| cell.split('`').skip(1).step_by(2).map(str::to_owned).collect::<Vec<_>>()).collect()
}

/// Every key of a configuration, as dotted paths; what a table row describes as one is not entered.
fn keys(value: &Value, path: &str, found: &mut BTreeSet<String>) {
    const WHOLE: [&str; 14] = [
        "upstreams[].credential",
        "limits.organization",
        "limits.overall",
        "limits.shared.password",
        "events.kafka.properties",
        "events.http[].headers",
        "events.http[].secret",
        "events.http[].api_key",
        "events.http[].api_keys",
        "prices",
        "tokenizers",
        "control.admin_key",
        "guard.remote.secret",
        "control.guard_secret",
    ];
    match value {
        Value::Object(map) if !WHOLE.contains(&path) => {
            for (key, value) in map {
                keys(value, &if path.is_empty() { key.clone() } else { format!("{path}.{key}") }, found);
            }
        }
        Value::Array(list) if ["upstreams", "events.http"].contains(&path) => {
            for value in list {
                keys(value, &format!("{path}[]"), found);
            }
        }
        _ => drop(found.insert(path.to_owned())),
    }
}

#[test]
fn the_configuration_table_lists_exactly_the_keys_that_the_code_reads() {
    // The fixtures set every key, and the configuration's own tests show that each reaches the checked form.
    let mut read = BTreeSet::new();
    for fixture in ["design.yaml", "full.yaml"] {
        let text = std::fs::read_to_string(root().join("tests/fixtures/config/valid").join(fixture)).unwrap();
        keys(&serde_saphyr::from_str(&text).unwrap(), "", &mut read);
    }
    // Needs files that fixtures cannot hold; its own test makes them.
    read.extend(["proxy.tls.cert".to_owned(), "proxy.tls.key".to_owned()]);
    assert_eq!(table("configuration"), read);
}

#[test]
fn the_event_table_lists_exactly_the_fields_of_the_schema() {
    let schema = std::fs::read_to_string(root().join("deploy/schema/usage.v1.json")).unwrap();
    let schema: Value = serde_json::from_str(&schema).unwrap();
    let fields = schema["$defs"]["UsageData"]["properties"].as_object().unwrap();
    let fields: BTreeSet<_> = fields.keys().cloned().collect();
    assert_eq!(table("event"), fields);
}

#[test]
fn the_dialects_table_lists_exactly_the_names_that_events_may_have() {
    let names: BTreeSet<_> = tollgate::dialect::names().into_iter().map(str::to_owned).collect();
    assert_eq!(table("dialects"), names);
}

#[test]
fn every_yaml_example_is_accepted() {
    let readme = readme();
    let examples: Vec<_> = readme.split("```yaml\n").skip(1).map(|rest| rest.split("```").next().unwrap()).collect();
    assert_eq!(examples.len(), 2);
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("tollgate.yaml"), examples[0]).unwrap();
    std::fs::write(dir.path().join("keys.yaml"), examples[1]).unwrap();
    let environment = vec![("OPENAI_API_KEY".to_owned(), "sk-test".to_owned())];
    let sources = Sources { environment, directory: dir.path().to_owned(), ..Sources::default() };
    let loaded = config::load(&sources).unwrap_or_else(|problems| panic!("{problems}"));
    assert_eq!(loaded.config.upstreams.len(), 2);
}

#[test]
fn the_two_commands_are_targets_of_the_makefile() {
    let makefile = std::fs::read_to_string(root().join("Makefile")).unwrap();
    for target in ["demo", "test", "bench"] {
        assert!(readme().contains(&format!("make {target}")), "{target}");
        assert!(makefile.lines().any(|line| line.starts_with(&format!("{target}:"))), "{target}");
    }
}
