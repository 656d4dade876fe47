//! `tollgate audit`: is any usage event missing? Reads a topic, a file or a spool; changes none of them.

mod follow;
mod read;

use std::path::PathBuf;

use clap::Args;

use super::End;
use crate::audit::{Audit, Beginning, Report};
use crate::config::{self, Kafka, KafkaFormat, Sources};
use crate::types::Secret;
use follow::Pace;

/// What is audited, and how the answer looks.
///
/// Says for each spool and epoch the first and last number, the count, what is missing, what came twice, what is open,
/// and sums of outcomes, tokens and cost. Without --brokers, --file or --spool, the topic of the configuration is read.
///
/// Exit codes: 0 nothing is missing, 1 something is (or the source cannot be read), 2 wrong usage.
#[derive(Debug, Args)]
#[command(verbatim_doc_comment)]
pub(super) struct Options {
    /// Kafka brokers, as host:port,host:port
    #[arg(long, value_name = "BROKERS", conflicts_with_all = ["file", "spool"])]
    brokers: Option<String>,
    /// The topic to read [default: the configured one, else tollgate.usage.v1]
    #[arg(long, value_name = "TOPIC", conflicts_with_all = ["file", "spool"])]
    topic: Option<String>,
    /// A librdkafka setting for reaching the brokers, such as security.protocol=ssl; may be repeated
    #[arg(short = 'X', long = "property", value_name = "NAME=VALUE", value_parser = property, requires = "brokers")]
    properties: Vec<(String, String)>,
    /// A file of events, one per line; - is standard input
    #[arg(long, value_name = "FILE", conflicts_with = "spool")]
    file: Option<PathBuf>,
    /// The directory of a spool, also of a running process
    #[arg(long, value_name = "DIR")]
    spool: Option<PathBuf>,
    /// Configuration file that names the topic; `tollgate.yaml` when it exists
    #[arg(short, long, env = "TOLLGATE_CONFIG", value_name = "FILE")]
    config: Option<PathBuf>,
    /// Keep going, with a line of progress every few seconds, until Ctrl-C
    #[arg(short, long)]
    watch: bool,
    /// The oldest events have expired: count each spool's numbers from the first one found
    #[arg(long)]
    from_first: bool,
    /// One JSON object instead of text
    #[arg(long)]
    json: bool,
}

fn property(text: &str) -> Result<(String, String), String> {
    let (name, value) = text.split_once('=').ok_or("write it as name=value, such as security.protocol=ssl")?;
    Ok((name.to_owned(), value.to_owned()))
}

pub(super) fn run(options: &Options) -> anyhow::Result<End> {
    let mut pace = Pace::new(options.watch)?;
    let audit = Audit::new(if options.from_first { Beginning::First } else { Beginning::One });
    let report = if let Some(dir) = &options.spool {
        read::spool(dir, &mut pace)?
    } else if let Some(file) = &options.file {
        read::file(file, audit, &mut pace)?
    } else {
        let Some(kafka) = topic(options) else { return Ok(End::Wrong) };
        read::topic(&kafka, audit, &mut pace)?
    };
    show(&report, options)?;
    Ok(if report.sound { End::Done } else { End::Failed })
}

fn show(report: &Report, options: &Options) -> anyhow::Result<()> {
    if options.json {
        println!("{}", serde_json::to_string(report)?);
    } else {
        println!("{report}");
    }
    Ok(())
}

/// The topic that is meant; `None` when that is unclear, which is then said.
fn topic(options: &Options) -> Option<Kafka> {
    if let Some(brokers) = &options.brokers {
        let properties = options.properties.iter().map(|(name, value)| (name.clone(), Secret::new(value.clone())));
        return Some(Kafka {
            brokers: brokers.clone(),
            topic: options.topic.clone().unwrap_or_else(|| "tollgate.usage.v1".to_owned()),
            format: KafkaFormat::Structured,
            properties: properties.collect(),
        });
    }
    match config::load(&Sources::from_process(options.config.clone(), Vec::new())) {
        Ok(loaded) => {
            let mut kafka = loaded.config.events.kafka;
            if let (Some(kafka), Some(topic)) = (&mut kafka, &options.topic) {
                kafka.topic.clone_from(topic);
            }
            if kafka.is_none() {
                eprintln!(
                    "tollgate: the configuration names no topic (events.kafka). Say what to audit: --brokers, --file or --spool"
                );
            }
            kafka
        }
        Err(problems) => {
            eprintln!("{problems}\ntollgate: or say what to audit: --brokers, --file or --spool");
            None
        }
    }
}
