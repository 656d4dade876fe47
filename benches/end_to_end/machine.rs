//! What the figures were taken on.

use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::process::cores;

/// CPU, cores, memory, kernel, compiler: one line each, in Markdown.
pub(crate) fn description() -> String {
    let cpu = field("/proc/cpuinfo", "model name");
    let memory = field("/proc/meminfo", "MemTotal");
    let kernel = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    let rustc = Command::new("rustc").arg("--version").output().map(|output| output.stdout).unwrap_or_default();
    format!(
        "- CPU: {cpu}, {} core(s)\n- memory: {memory}\n- kernel: {}\n- compiler: {}\n",
        cores(),
        kernel.trim(),
        String::from_utf8_lossy(&rustc).trim(),
    )
}

/// The size in MB of a binary without its symbols.
pub(crate) fn stripped_megabytes(binary: &Path, directory: &Path) -> Result<f64> {
    let stripped = directory.join("stripped");
    let status = Command::new("strip").arg("-o").arg(&stripped).arg(binary).status().context("cannot run strip")?;
    if !status.success() {
        bail!("strip failed on {}", binary.display());
    }
    Ok(fs::metadata(&stripped)?.len() as f64 / 1e6)
}

fn field(path: &str, name: &str) -> String {
    let text = fs::read_to_string(path).unwrap_or_default();
    let line = text.lines().find(|line| line.starts_with(name)).unwrap_or_default();
    line.split_once(':').map_or("unknown", |(_, value)| value.trim()).to_owned()
}
