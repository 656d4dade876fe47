//! OpenAI's formats, and the many providers that copy them.
//!
//! Here are chat completions, completions and embeddings; `responses`, `media` and `realtime` have the others. The
//! copies differ in where usage stands, how it is counted and what a chunk may leave out; each known difference is
//! named where it is handled. Answers are read in steps: `glance` deals with the many chunks that only carry text,
//! `whole` with whole answers that are as they should be, `answer` parses whatever else there is.

mod answer;
mod glance;
mod media;
pub mod realtime;
mod request;
mod responses;
mod splice;
mod usage;
mod whole;

#[cfg(test)]
mod copies_tests;
#[cfg(test)]
mod media_tests;
#[cfg(test)]
mod responses_tests;
#[cfg(test)]
mod tests;

use super::passed::Passed;
use super::{Ask, AskError, Dialect, Operation, Payload, Reading, Route};
use media::Media;
use responses::Responses;

pub(super) use usage::UsageObject;

/// Which of its operations a path (without slash at its end) names, under any prefix: gateways and Azure put theirs in
/// front, and clients write `/v1/v1`.
pub(super) fn route(path: &str) -> Option<Route> {
    let ends = |end: &str| path.ends_with(end);
    let (dialect, operation): (&'static dyn Dialect, _) = match () {
        () if ends("/chat/completions") => (&OpenAi, Operation::Chat),
        () if ends("/completions") => (&OpenAi, Operation::Completion),
        () if ends("/embeddings") => (&OpenAi, Operation::Embeddings),
        () if ends("/responses") || ends("/responses/compact") => (&Responses::Made, Operation::Chat),
        () if ends("/responses/input_tokens") => (&Passed("openai.responses"), Operation::CountTokens),
        () if path.strip_suffix("/cancel").is_some_and(is_one_response) => (&Responses::Again, Operation::Other),
        () if ["/images/generations", "/images/edits", "/images/variations"].iter().any(|end| ends(end)) => {
            (&Media::Images, Operation::Image)
        }
        () if ends("/audio/speech") => (&Media::Speech, Operation::Speech),
        () if ends("/audio/transcriptions") || ends("/audio/translations") => {
            (&Media::Transcriptions, Operation::Transcription)
        }
        () if ends("/moderations") => (&Media::Moderations, Operation::Moderation),
        () if is_housekeeping(path) => (&Passed("openai.other"), Operation::Other),
        () => return None,
    };
    Some(Route { dialect, operation })
}

/// The same for `GET`: what only asks for what is there has no usage of its own, but a response made in the background.
pub(super) fn route_of_get(path: &str) -> Option<Route> {
    if path.ends_with("/realtime") {
        return Some(Route { dialect: &realtime::Realtime, operation: Operation::Realtime });
    }
    is_one_response(path).then_some(Route { dialect: &Responses::Again, operation: Operation::Other })
}

/// Whether a path is that of one response: `…/responses/{id}`.
fn is_one_response(path: &str) -> bool {
    path.rsplit_once('/').is_some_and(|(list, id)| !id.is_empty() && list.ends_with("/responses"))
}

/// Files, batches and the like. Other families have batches of their own.
fn is_housekeeping(path: &str) -> bool {
    let kept = |segment| matches!(segment, "batches" | "files" | "uploads" | "vector_stores" | "fine_tuning" | "evals");
    !path.contains("/messages/") && !path.contains("/v1beta") && path.split('/').any(kept)
}

/// All that the routes above may choose.
pub(super) const ALL: [&dyn Dialect; 8] = [
    &OpenAi,
    &Responses::Made,
    &Media::Images,
    &Media::Speech,
    &Media::Transcriptions,
    &Media::Moderations,
    &realtime::Realtime,
    &Passed("openai.other"),
];

/// The dialect.
#[derive(Clone, Copy, Debug)]
pub(super) struct OpenAi;

impl Dialect for OpenAi {
    fn name(&self, operation: Operation) -> &'static str {
        match operation {
            Operation::Completion => "openai.completions",
            Operation::Embeddings => "openai.embeddings",
            _ => "openai.chat",
        }
    }

    fn read_request(&self, path: &str, body: &[u8]) -> Result<Ask, AskError> {
        request::read(path, body)
    }

    fn ask_for_usage(&self, body: &[u8]) -> Option<Vec<u8>> {
        splice::ask_for_usage(body)
    }

    fn read_answer(&self, payload: Payload<'_>, reading: &mut Reading) {
        (reading.had_content, reading.usage_alone) = (false, false);
        let payload = payload.data.trim_ascii();
        // The SDKs stop at anything that begins so.
        if payload.starts_with(b"[DONE]") {
            reading.done = true;
        } else if !payload.is_empty() && !glance::read(payload, reading) && !whole::read(payload, reading) {
            answer::read(payload, reading);
        }
    }
}
