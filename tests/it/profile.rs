//! What a request passes through is, where it is optimised across crates, compiled with the profile in
//! `pgo`, and nothing else is touched.

use std::path::Path;
use std::process::Command;

const HERE: &str = env!("CARGO_MANIFEST_DIR");
/// How an indexed profile begins (LLVM, `InstrProf.h`).
const MAGIC: [u8; 8] = *b"\xfflprofi\x81";

/// What the compiler would be called with.
fn told(arguments: &[&str], counts: Option<&str>) -> String {
    let mut command = Command::new(Path::new(HERE).join("pgo/rustc"));
    command.arg("echo").args(arguments).env_remove("TOLLGATE_COUNTS").envs(counts.map(|to| ("TOLLGATE_COUNTS", to)));
    String::from_utf8(command.output().unwrap().stdout).unwrap().trim().to_owned()
}

#[test]
fn optimised_crates_are_compiled_with_the_profile() {
    for optimised in ["lto", "lto=fat", "linker-plugin-lto"] {
        let told = told(&["--crate-name", "hyper", "-C", optimised], None);
        let (_, profile) = told.split_once("profile-use=").unwrap();
        let (profile, _) = profile.split_once(' ').unwrap();
        assert!(std::fs::read(profile).unwrap().starts_with(&MAGIC), "{profile}");
        assert!(told.starts_with(&format!("--crate-name hyper -C {optimised} ")), "{told}");
    }
}

#[test]
fn everything_else_is_compiled_as_it_would_be_without() {
    let crates: [&[_]; 3] =
        [&["-vV"], &["--crate-name", "tollgate", "lto", "-C", "opt-level=3"], &["--crate-name", "regex", "-C", "lto"]];
    for arguments in crates {
        assert_eq!(told(arguments, None), arguments.join(" "));
        assert_eq!(told(arguments, Some("/counts")), arguments.join(" "));
    }
}

#[test]
fn a_program_that_is_to_count_does_not_follow_an_older_profile() {
    assert_eq!(
        told(&["--crate-name", "tollgate", "-C", "lto"], Some("/counts")),
        "--crate-name tollgate -C lto -C profile-generate=/counts"
    );
}
