//! What a caller reports of a call that it has made: read strictly, with every fault told as the original tells it.
//!
//! Costs are totals in dollars. Numbers that cannot be (negative counts, fractions of a token) are refused too: the
//! original's database did that, later and with less to say.

use serde::Serialize;
use serde_json::{Map, Value};

use crate::types::NanoUsd;

/// A report that holds.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Report {
    pub(super) model: String,
    pub(super) temperature: f64,
    pub(super) top_p: f64,
    pub(super) stream: bool,
    pub(super) input_cost: NanoUsd,
    pub(super) output_cost: NanoUsd,
    pub(super) total_cost: NanoUsd,
    pub(super) input_tokens: u64,
    pub(super) output_tokens: u64,
    pub(super) max_tokens: u64,
}

/// Reads the body's fields one by one and keeps what is wrong with them.
struct Reader<'a> {
    fields: &'a Map<String, Value>,
    issues: Vec<Issue>,
}

/// One fault, with its fields in the order in which clients have always seen them.
#[derive(Serialize)]
#[serde(untagged)]
enum Issue {
    Mistyped {
        code: &'static str,
        expected: &'static str,
        received: &'static str,
        path: Vec<&'static str>,
        message: String,
    },
    TooSmall {
        code: &'static str,
        minimum: u8,
        #[serde(rename = "type")]
        kind: &'static str,
        inclusive: bool,
        exact: bool,
        message: &'static str,
        path: Vec<&'static str>,
    },
}

impl Report {
    /// # Errors
    /// All issues, as the pretty-printed JSON list that clients know.
    pub(super) fn read(body: &Value) -> Result<Self, String> {
        let Value::Object(fields) = body else {
            return Err(pretty(&[mistyped(None, ("object", kind(Some(body))))]));
        };
        let mut reader = Reader { fields, issues: Vec::new() };
        // In the order in which the original lists issues.
        let report = Self {
            model: reader.text("model"),
            temperature: reader.number("temperature"),
            top_p: reader.number("top_p"),
            stream: reader.switches(),
            input_cost: reader.cost("input_cost"),
            output_cost: reader.cost("output_cost"),
            total_cost: reader.cost("total_cost"),
            input_tokens: reader.count("input_tokens"),
            output_tokens: reader.count("output_tokens"),
            max_tokens: reader.count("max_tokens"),
        };
        if reader.issues.is_empty() { Ok(report) } else { Err(pretty(&reader.issues)) }
    }
}

impl Reader<'_> {
    fn text(&mut self, name: &'static str) -> String {
        match self.fields.get(name) {
            Some(Value::String(text)) => text.clone(),
            other => self.mistyped(name, ("string", kind(other))),
        }
    }

    fn number(&mut self, name: &'static str) -> f64 {
        match self.fields.get(name).and_then(Value::as_f64) {
            Some(number) => number,
            None => self.mistyped(name, ("number", kind(self.fields.get(name)))),
        }
    }

    /// The two optional ones; of them only `stream` says something of the call.
    fn switches(&mut self) -> bool {
        let mut on = false;
        for name in ["echo", "stream"] {
            match self.fields.get(name) {
                None => {}
                Some(Value::Bool(value)) => on = *value && name == "stream",
                other => self.mistyped(name, ("boolean", kind(other))),
            }
        }
        on
    }

    fn cost(&mut self, name: &'static str) -> NanoUsd {
        let usd = self.number(name);
        match NanoUsd::from_usd(usd) {
            Some(cost) if cost.0 >= 0 => cost,
            _ => self.too_small(name),
        }
    }

    fn count(&mut self, name: &'static str) -> u64 {
        let number = self.number(name);
        if number < 0.0 {
            return self.too_small(name);
        }
        if number.fract() != 0.0 {
            return self.mistyped(name, ("integer", "float"));
        }
        // More tokens than a float counts exactly are more than there can be; they are held at the end of the range.
        number as u64
    }

    fn mistyped<T: Default>(&mut self, name: &'static str, types: Types) -> T {
        self.issues.push(mistyped(Some(name), types));
        T::default()
    }

    fn too_small<T: Default>(&mut self, name: &'static str) -> T {
        self.issues.push(Issue::TooSmall {
            code: "too_small",
            minimum: 0,
            kind: "number",
            inclusive: true,
            exact: false,
            message: "Number must be greater than or equal to 0",
            path: vec![name],
        });
        T::default()
    }
}

/// What was expected, and what came.
type Types = (&'static str, &'static str);

fn mistyped(name: Option<&'static str>, (expected, received): Types) -> Issue {
    let message = if received == "undefined" {
        "Required".to_owned()
    } else {
        format!("Expected {expected}, received {received}")
    };
    Issue::Mistyped { code: "invalid_type", expected, received, path: name.into_iter().collect(), message }
}

fn kind(value: Option<&Value>) -> &'static str {
    match value {
        None => "undefined",
        Some(Value::Null) => "null",
        Some(Value::Bool(_)) => "boolean",
        Some(Value::Number(_)) => "number",
        Some(Value::String(_)) => "string",
        Some(Value::Array(_)) => "array",
        Some(Value::Object(_)) => "object",
    }
}

fn pretty(issues: &[Issue]) -> String {
    serde_json::to_string_pretty(issues).unwrap_or_default()
}
