//! `events:`, where usage events go: the spool always, then Kafka, a file, receivers by HTTP, or several of these.

use super::field::Field;
use super::section::Section;
use super::{Events, File, Spool, SyncMode, WhenFull, kafka, receivers};

const SPOOL_DIR: &str = "./data/spool";
const FILE: &str = "./data/usage.jsonl";
const SPOOL_BYTES: u64 = 1 << 30;
const LEAST_SPOOL_BYTES: u64 = 32 << 20;
const MOST_SPOOL_BYTES: u64 = 1 << 44;

pub(super) fn read(mut section: Section<'_>) -> Events {
    refuse_bodies(&mut section);
    let spool = spool(section.section("spool"));
    let kafka = section.take("kafka");
    let file = section.take("file");
    let http = section.take("http").map(|field| field.fields()).unwrap_or_default();
    let sink_given = kafka.is_some() || file.is_some() || !http.is_empty();
    let default = || (!sink_given).then(|| File { path: section.context().base.join(FILE) });
    Events {
        spool,
        kafka: kafka.and_then(kafka::read),
        file: file.and_then(file_sink).or_else(default),
        http: receivers::read(http),
    }
}

fn refuse_bodies(section: &mut Section<'_>) {
    if let Some(field) = section.take("content") {
        let words = [("none", false), ("request", true), ("response", true), ("both", true)];
        if field.choice(&words) == Some(true) {
            field.problem("recording of bodies is not in this version yet", "Set it to none, or take it out.");
        }
    }
}

fn spool(mut section: Section<'_>) -> Spool {
    let default_dir = section.context().base.join(SPOOL_DIR);
    Spool {
        dir: section.file_path("dir").unwrap_or(default_dir),
        max_bytes: section.number("max_bytes", (LEAST_SPOOL_BYTES, MOST_SPOOL_BYTES)).unwrap_or(SPOOL_BYTES),
        when_full: section
            .choice("when_full", &[("reject", WhenFull::Reject), ("drop", WhenFull::Drop)])
            .unwrap_or(WhenFull::Reject),
        sync: section
            .choice("sync", &[("process", SyncMode::Process), ("disk", SyncMode::Disk)])
            .unwrap_or(SyncMode::Process),
    }
}

fn file_sink(field: Field<'_>) -> Option<File> {
    let mut section = field.section();
    let field = section.require("path", "Name the file: path: ./data/usage.jsonl, or \"-\" for standard output.")?;
    if field.scalar() == Some("-") {
        return Some(File { path: "-".into() });
    }
    Some(File { path: field.file_path()? })
}
