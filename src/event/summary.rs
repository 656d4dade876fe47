//! An event as one readable line: enough to see what happened, never what was said.

use super::UsageEvent;

impl UsageEvent {
    /// What was asked, what it cost and how long it took; what is not known is left out:
    /// `200 chat demo stream in=23 out=40 ttft=12ms dur=1.00s overhead=0.06ms cost=$0.000021`.
    pub fn summary(&self) -> String {
        let data = &self.data;
        let mut words = vec![
            data.status.map_or_else(|| "-".to_owned(), |status| status.to_string()),
            data.operation.to_string(),
            data.model_requested.clone().unwrap_or_else(|| "-".to_owned()),
            if data.stream { "stream" } else { "whole" }.to_owned(),
        ];
        let mut add = |name: &str, value: Option<String>| words.extend(value.map(|value| format!("{name}={value}")));
        add("in", data.usage.input_tokens.map(|count| count.to_string()));
        add("out", data.usage.output_tokens.map(|count| count.to_string()));
        add("ttft", data.timing.first_token_ms.map(duration));
        add("dur", Some(duration(data.timing.total_ms)));
        add("overhead", Some(format!("{:.2}ms", data.timing.overhead_us as f64 / 1e3)));
        add("cost", data.cost.as_ref().map(|cost| format!("${:.6}", cost.total_nano.as_usd())));
        words.join(" ")
    }
}

fn duration(ms: f64) -> String {
    if ms < 1000.0 { format!("{ms:.1}ms") } else { format!("{:.2}s", ms / 1e3) }
}
