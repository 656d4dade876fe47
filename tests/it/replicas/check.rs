//! `tollgate check` says what is wrong with the store, and never a secret.

use std::path::Path;

use super::{ANSWER, shared};
use crate::peers::{RedisPeer, off_runtime, redis};
use crate::support::{Mock, Reply};

/// The exit code of a check of these `limits:`, and what it said.
async fn check(settings: &str, roots: Option<&Path>) -> (Option<i32>, String) {
    let dir = tempfile::tempdir().unwrap();
    let upstream = Mock::always(Reply::json(200, ANSWER)).await;
    let configuration = format!(
        "proxy: {{ listen: 127.0.0.1:0 }}\nops: {{ listen: 127.0.0.1:0 }}\nupstreams: [{{ url: \"{}\" }}]\nevents: {{ spool: {{ dir: spool }} }}\n{settings}\n",
        upstream.url()
    );
    std::fs::write(dir.path().join("tollgate.yaml"), configuration).unwrap();
    let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_tollgate"));
    crate::support::unset(command.arg("check").current_dir(dir.path()));
    if let Some(roots) = roots {
        command.env("SSL_CERT_FILE", roots);
    }
    let output = off_runtime(move || command.output().unwrap()).await;
    let said = [output.stdout, output.stderr].map(|text| String::from_utf8(text).unwrap()).concat();
    for secret in [redis::PASSWORD, "not-the-secret-at-all", "a-secret-in-a-url"] {
        assert!(!said.contains(secret), "{said}");
    }
    (output.status.code(), said)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_check_says_what_is_wrong_with_the_store_and_never_the_password() {
    let store = off_runtime(RedisPeer::start).await;
    let right = shared(&store, "");
    let none = format!("limits: {{ shared: {{ url: \"{}\" }} }}", store.url());
    for (settings, code, says) in [
        (right.clone(), 0, "the store of limits at 127.0.0.1:"),
        (right.replace(redis::PASSWORD, "not-the-secret-at-all"), 1, "the user or the password is wrong"),
        (none, 1, "it refused: NOAUTH"),
        (right.replace(&store.url(), "redis://127.0.0.1:1"), 1, "it was not reached"),
        (
            right.replace("redis://", "redis://me:a-secret-in-a-url@"),
            2,
            "a URL with a user name or password is not used",
        ),
    ] {
        let (found, said) = check(&settings, None).await;
        assert!(found == Some(code) && said.contains(says), "{says:?} is not in:\n{said}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_store_over_tls_is_trusted_as_upstreams_are() {
    let store = off_runtime(RedisPeer::start_with_tls).await;
    let settings = shared(&store, "");
    let (code, said) = check(&settings, Some(&store.certificate())).await;
    assert!(code == Some(0) && said.contains("can be used"), "{said}");
    let (code, said) = check(&settings, None).await;
    assert!(code == Some(1) && said.contains("it was not reached"), "{said}");
}
