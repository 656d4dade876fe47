//! An upstream's URL: http or https, a host, perhaps a port and a path prefix, and nothing else.
//!
//! A password in a URL would reach logs and events, so such a URL is refused, and not shown.

use http::Uri;

use super::field::{Field, quote};

/// The URL, checked.
pub(super) fn read(field: &Field<'_>) -> Option<Uri> {
    let text = field.text()?;
    if text.contains('@') {
        let fix = "Take it out, and give the credential under 'credential:'.";
        field.problem("a URL with a user name or password is not used", fix);
        return None;
    }
    if text.contains(['?', '#']) {
        // A query may carry a key, so it is not shown.
        field.problem("a URL with a query or fragment is not used", "Write it as https://host[:port][/prefix].");
        return None;
    }
    let uri = text.parse().ok().filter(is_plain);
    if uri.is_none() {
        let what = format!("{} is not an http or https URL", quote(text));
        field.problem(what, "Write it as https://host[:port][/prefix].");
    }
    uri
}

fn is_plain(uri: &Uri) -> bool {
    let Some(authority) = uri.authority() else { return false };
    let host = authority.host();
    let port_is_right = authority.as_str() == host || authority.port_u16().is_some_and(|port| port > 0);
    matches!(uri.scheme_str(), Some("http" | "https")) && !host.is_empty() && port_is_right
}

/// The host without brackets.
pub(super) fn host(uri: &Uri) -> String {
    uri.host().unwrap_or_default().trim_matches(['[', ']']).to_lowercase()
}

/// The name of an upstream that was given none.
pub(super) fn name_of(host: &str) -> &str {
    if host == "api.openai.com" { "openai" } else { host }
}

/// Who runs the model, by host; the names are those of the OpenTelemetry GenAI conventions where they have one. An
/// unknown host stands for itself.
pub(super) fn provider_of(host: &str) -> &str {
    const EXACT: &[(&str, &str)] = &[
        ("api.openai.com", "openai"),
        ("api.anthropic.com", "anthropic"),
        ("generativelanguage.googleapis.com", "gcp.gemini"),
        ("api.cohere.com", "cohere"),
        ("api.cohere.ai", "cohere"),
        ("api.deepseek.com", "deepseek"),
        ("api.groq.com", "groq"),
        ("api.mistral.ai", "mistral_ai"),
        ("api.perplexity.ai", "perplexity"),
        ("api.x.ai", "x_ai"),
        ("api.moonshot.ai", "moonshot_ai"),
        ("openrouter.ai", "openrouter"),
    ];
    const ENDINGS: &[(&str, &str)] = &[
        (".api.openai.com", "openai"),
        (".openai.azure.com", "azure.ai.openai"),
        (".services.ai.azure.com", "azure.ai.inference"),
        ("aiplatform.googleapis.com", "gcp.vertex_ai"),
        (".ml.cloud.ibm.com", "ibm.watsonx.ai"),
    ];
    let exact = EXACT.iter().find(|(known, _)| *known == host);
    let ending = ENDINGS.iter().find(|(known, _)| host.ends_with(known));
    let bedrock = host.starts_with("bedrock-runtime.") && host.ends_with(".amazonaws.com");
    match exact.or(ending) {
        Some((_, provider)) => provider,
        None if bedrock => "aws.bedrock",
        None => host,
    }
}

#[cfg(test)]
mod tests {
    use super::provider_of;

    #[test]
    fn a_provider_is_known_by_its_host_and_an_unknown_one_is_its_host() {
        assert_eq!(provider_of("api.openai.com"), "openai");
        assert_eq!(provider_of("acme.openai.azure.com"), "azure.ai.openai");
        assert_eq!(provider_of("us-east1-aiplatform.googleapis.com"), "gcp.vertex_ai");
        assert_eq!(provider_of("bedrock-runtime.eu-central-1.amazonaws.com"), "aws.bedrock");
        assert_eq!(provider_of("vllm.models.svc"), "vllm.models.svc");
    }
}
