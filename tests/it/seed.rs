//! A fresh Tollgate as someone who reads the documentation of the original guard would try it: one secret in the
//! environment, one key made on the command line, and the examples as they are printed.

use std::path::Path;

use serde_json::{Value, json};

use crate::peers::{Program, off_runtime, play_examples, tollgate};
use crate::support::PATIENCE;

const SECRET: (&str, &str) = ("GUARD_SECRET_KEY", "a-secret-of-this-deployment");
const CONFIGURATION: &str = "proxy: { listen: 127.0.0.1:0 }\nops: { listen: 127.0.0.1:0 }\nlog: { format: json }\n";

/// Runs the command line in this folder; what it printed.
async fn command(folder: &Path, arguments: &[&str]) -> String {
    let mut command = tollgate();
    command.current_dir(folder).args(arguments).envs([SECRET]);
    let output = off_runtime(move || command.output().unwrap()).await;
    assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_example_of_the_original_guard_works_against_a_fresh_tollgate() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("tollgate.yaml"), CONFIGURATION).unwrap();
    let running = Program::start_with("serve", folder.path(), &[SECRET]).await;
    let key = command(folder.path(), &["keys", "create", "--id", "acme", "--organization", "org_acme"]).await;
    let (base, key) = (format!("http://{}", running.address), key.trim().to_owned());
    let answers = off_runtime(move || play_examples(&base, (&key, SECRET.1), "org_acme")).await;
    let expected = |example: &str, kind: &str, text: &str| json!({"example": example, "status": 200, "content_type": kind, "text": text});
    assert_eq!(answers.len(), 6);
    for (at, answer) in answers.iter().enumerate() {
        let example = ["authenticate", "log_usage"][at % 2];
        if at < 4 {
            assert_eq!(*answer, expected(example, "text/plain;charset=UTF-8", "Success"), "{at}");
            continue;
        }
        // Who asks for JSON can read it as the printed code does.
        assert_eq!((&answer["status"], &answer["content_type"]), (&json!(200), &json!("application/json")), "{answer}");
        let told: Value = serde_json::from_str(answer["text"].as_str().unwrap()).unwrap();
        assert_eq!(told["message"], "Success", "{told}");
    }
    // What was reported is in the ledger: three times eighty cents.
    let deadline = tokio::time::Instant::now() + PATIENCE;
    loop {
        let usage = command(folder.path(), &["usage", "--by", "key,org,model", "--format", "json"]).await;
        let rows: Value = serde_json::from_str(&usage).unwrap();
        if rows[0]["requests"] == 3 {
            assert_eq!(
                (&rows[0]["key"], &rows[0]["org"], &rows[0]["model"]),
                (&json!("acme"), &json!("org_acme"), &json!("cogvlm-chat-17b"))
            );
            assert_eq!((&rows[0]["input"], &rows[0]["output"]), (&json!(300), &json!(240)), "{rows}");
            break;
        }
        assert!(tokio::time::Instant::now() < deadline, "{rows}");
    }
    running.end().await;
}
