//! From an event to a report of the kind that a guard's `log-usage` takes.
//!
//! A report cannot say that something is not known: its numbers are all required. So parameters that the request did not
//! set, costs of models without a price, and a count of one side that nobody knows are 0, as the original's own clients
//! send them; an event of which neither tokens nor a cost is known, or whose call was refused here, is not reported at
//! all, and neither is a loss. What was reported to us is not reported on, or two that report to each other would never
//! end. Costs are totals in dollars.
//!
//! A guard asks with an API key whose usage it is. Callers' keys are kept nowhere, so the keys to report with are
//! configured, by the id of the key record, with one for all others; an event that none stands for is put aside.

use std::borrow::Cow;
use std::collections::HashMap;

use http::header::{AUTHORIZATION, CONTENT_TYPE};
use http::{HeaderMap, HeaderValue};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::Unusable;
use super::client::Post;
use super::form::{self, Told, secretly};
use crate::config::{LogUsage, Organizations, Receiver};
use crate::event::TYPE;
use crate::header::{IDEMPOTENCY_KEY, SECRET_KEY, SWARMS_ORGANIZATION};
use crate::sink::Trouble;
use crate::types::NanoUsd;

const JSON: HeaderValue = HeaderValue::from_static("application/json");
/// On events that were reported to us.
const REPORTED: &str = "usage_reported";

/// Who reports, and with which keys.
#[derive(Debug)]
pub(super) struct Reporter {
    secret: HeaderValue,
    keys: HashMap<String, HeaderValue>,
    others: Option<HeaderValue>,
    organizations: Organizations,
}

#[derive(Deserialize)]
struct Envelope<'a> {
    #[serde(borrow)]
    id: Cow<'a, str>,
    #[serde(borrow, rename = "type")]
    kind: Cow<'a, str>,
    #[serde(borrow)]
    data: &'a RawValue,
}

#[derive(Deserialize)]
struct Facts {
    key_id: Option<String>,
    org_id: Option<String>,
    model_requested: Option<String>,
    model_served: Option<String>,
    #[serde(default)]
    stream: bool,
    outcome: String,
    #[serde(default)]
    usage: Tokens,
    cost: Option<Costs>,
    #[serde(default)]
    request: Parameters,
    #[serde(default)]
    flags: Vec<String>,
}

#[derive(Default, Deserialize)]
struct Tokens {
    #[serde(rename = "input_tokens")]
    input: Option<u64>,
    #[serde(rename = "output_tokens")]
    output: Option<u64>,
}

#[derive(Clone, Copy, Default, Deserialize)]
struct Costs {
    #[serde(rename = "total_nano")]
    total: NanoUsd,
    #[serde(rename = "input_nano")]
    input: NanoUsd,
    #[serde(rename = "output_nano")]
    output: NanoUsd,
}

#[derive(Default, Deserialize)]
struct Parameters {
    max_tokens: Option<u64>,
    temperature: Option<f64>,
    top_p: Option<f64>,
}

#[derive(Serialize)]
struct Report<'a> {
    model: &'a str,
    temperature: f64,
    top_p: f64,
    stream: bool,
    input_cost: f64,
    output_cost: f64,
    total_cost: f64,
    input_tokens: u64,
    output_tokens: u64,
    max_tokens: u64,
}

impl Reporter {
    pub(super) fn new(whose: &LogUsage, receiver: &Receiver) -> Result<Self, Unusable> {
        let keys = whose.keys.iter().map(|(id, key)| Ok((id.clone(), secretly(key, receiver)?)));
        Ok(Self {
            secret: secretly(&whose.secret, receiver)?,
            keys: keys.collect::<Result<_, Unusable>>()?,
            others: whose.others.as_ref().map(|key| secretly(key, receiver)).transpose()?,
            organizations: whose.organizations,
        })
    }

    /// The report of an event.
    pub(super) fn tell(&self, event: &[u8]) -> Told {
        let Ok(envelope) = serde_json::from_slice::<Envelope<'_>>(event) else { return Told::Never(Trouble::Invalid) };
        if envelope.kind != TYPE {
            return Told::Nothing;
        }
        let Ok(facts) = serde_json::from_str::<Facts>(envelope.data.get()) else {
            return Told::Never(Trouble::Invalid);
        };
        if !facts.is_usage() {
            return Told::Nothing;
        }
        let Some(key) = self.key(&facts) else { return Told::Never(Trouble::Authentication) };
        let Some(body) = facts.report() else { return Told::Never(Trouble::Invalid) };
        let mut headers = HeaderMap::from_iter([
            (CONTENT_TYPE, JSON),
            (SECRET_KEY, self.secret.clone()),
            // As it is: the original takes no scheme before it.
            (AUTHORIZATION, key.clone()),
        ]);
        headers.extend(form::plain(&envelope.id).map(|id| (IDEMPOTENCY_KEY, id)));
        if let (Organizations::OfEvents, Some(organization)) = (self.organizations, &facts.org_id) {
            let Ok(organization) = HeaderValue::from_str(organization) else { return Told::Never(Trouble::Invalid) };
            headers.insert(SWARMS_ORGANIZATION, organization);
        }
        Told::Post(Post { headers, body: body.into() })
    }

    fn key(&self, facts: &Facts) -> Option<&HeaderValue> {
        facts.key_id.as_ref().and_then(|id| self.keys.get(id)).or(self.others.as_ref())
    }
}

impl Facts {
    fn is_usage(&self) -> bool {
        let known = self.usage.input.is_some() || self.usage.output.is_some() || self.cost.is_some();
        known && self.outcome != "rejected" && !self.flags.iter().any(|flag| flag == REPORTED)
    }

    /// `None` without a model, of which no guard takes a report.
    fn report(&self) -> Option<Vec<u8>> {
        let model = self.model_requested.as_deref().or(self.model_served.as_deref())?;
        let costs = self.cost.unwrap_or_default();
        let report = Report {
            model,
            temperature: self.request.temperature.unwrap_or_default(),
            top_p: self.request.top_p.unwrap_or_default(),
            stream: self.stream,
            input_cost: costs.input.as_usd(),
            output_cost: costs.output.as_usd(),
            total_cost: costs.total.as_usd(),
            input_tokens: self.usage.input.unwrap_or_default(),
            output_tokens: self.usage.output.unwrap_or_default(),
            max_tokens: self.request.max_tokens.unwrap_or_default(),
        };
        serde_json::to_vec(&report).ok()
    }
}
