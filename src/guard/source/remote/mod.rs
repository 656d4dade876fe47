//! An authority elsewhere: a Tollgate control plane, which grants, or a server of the original guard API, which lets each
//! call pass or not.
//!
//! Which of the two it is shows in its answer (`answer`). Every question has a time limit, and only so many are under
//! way at once: a flood of keys that nobody knows waits in line, and those who are known already do not wait with it.

mod answer;
mod client;
mod stream;

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use http::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE};
use http::{HeaderValue, Method, Request};
use http_body_util::Full;
use tokio::sync::Semaphore;
use tokio::time::{Instant, timeout};

use super::{Before, FetchError, Fetching, KeySource, Question, Returning};
use crate::config;
use crate::header::{SECRET_KEY, SWARMS_ORGANIZATION, X_TOLLGATE_INSTANCE};
use crate::types::{Returned, Used};
use client::{Client, ClientError};

pub(in crate::guard) use stream::Revoked;

const GRANT: HeaderValue = HeaderValue::from_static("application/vnd.tollgate.grant+json");
const JSON: HeaderValue = HeaderValue::from_static("application/json");
/// A question that takes longer was not answered; so long it may wait in line before.
const PATIENCE: Duration = Duration::from_secs(3);
/// As many questions about keys of which nothing is held are under way at once.
const STRANGERS: usize = 64;

pub(in crate::guard) struct Remote {
    client: Client,
    secret: Option<HeaderValue>,
    /// Names this process to the authority: slices of budgets are lent to it.
    holder: HeaderValue,
    strangers: Semaphore,
    /// When the authority last gave a sign, at first when we began.
    sign: Mutex<Instant>,
}

impl Remote {
    pub(in crate::guard) fn new(settings: &config::Remote, holder: &str) -> Self {
        let secret = settings.secret.as_ref().and_then(|secret| HeaderValue::from_str(secret.expose()).ok());
        Self {
            client: Client::new(&settings.url),
            secret: secret.map(secretly),
            holder: HeaderValue::from_str(holder).unwrap_or(HeaderValue::from_static("sidecar")),
            strangers: Semaphore::new(STRANGERS),
            sign: Mutex::new(Instant::now()),
        }
    }

    /// How long the authority has given no sign.
    pub(in crate::guard) fn silence(&self) -> Duration {
        self.sign.lock().unwrap_or_else(PoisonError::into_inner).elapsed()
    }

    fn gave_a_sign(&self) {
        *self.sign.lock().unwrap_or_else(PoisonError::into_inner) = Instant::now();
    }

    /// A connection that was open may end before its answer, with the authority at its other end: another is tried.
    async fn insist(&self, asked: &Question<'_>, used: Option<Used>) -> Result<super::Verdict, ClientError> {
        match self.ask(asked, used).await {
            Err(ClientError::Unreached(_) | ClientError::Broken(_)) => self.ask(asked, used).await,
            answer => answer,
        }
    }

    async fn ask(&self, asked: &Question<'_>, used: Option<Used>) -> Result<super::Verdict, ClientError> {
        let (status, headers, body) = self.client.send(self.question(asked, used)?).await?;
        let secret = if self.secret.is_some() { answer::Secret::Ours } else { answer::Secret::Clients };
        let verdict = answer::read((status, &headers, &body), asked, secret)?;
        self.gave_a_sign();
        Ok(verdict)
    }

    fn question(&self, asked: &Question<'_>, used: Option<Used>) -> Result<Request<Full<Bytes>>, ClientError> {
        let mut body = serde_json::Map::new();
        if let Some(model) = &asked.model {
            body.insert("model".to_owned(), model.as_ref().into());
        }
        if let Some(used) = used {
            body.insert("used".to_owned(), serde_json::to_value(used).unwrap_or_default());
        }
        let mut request = self.request(Method::POST, "/api/guard/auth", serde_json::Value::Object(body).to_string())?;
        let headers = request.headers_mut();
        headers.insert(ACCEPT, GRANT);
        let key = HeaderValue::from_str(asked.credential.expose()).map_err(|_| ClientError::Answer)?;
        headers.insert(AUTHORIZATION, secretly(key));
        if let Some(organization) = &asked.organization {
            headers.insert(SWARMS_ORGANIZATION, organization.clone());
        }
        if let (None, Some(secret)) = (&self.secret, &asked.secret) {
            headers.insert(SECRET_KEY, secretly(secret.clone()));
        }
        Ok(request)
    }

    /// A request of the deployment.
    fn request(&self, method: Method, path: &str, body: String) -> Result<Request<Full<Bytes>>, ClientError> {
        let mut request = Request::new(Full::new(Bytes::from(body)));
        *request.method_mut() = method;
        *request.uri_mut() = self.client.uri(path)?;
        let headers = request.headers_mut();
        headers.insert(CONTENT_TYPE, JSON);
        headers.insert(X_TOLLGATE_INSTANCE, self.holder.clone());
        if let Some(secret) = &self.secret {
            headers.insert(SECRET_KEY, secret.clone());
        }
        Ok(request)
    }
}

impl KeySource for Remote {
    fn fetch<'a>(&'a self, asked: &'a Question<'_>, before: Before) -> Fetching<'a> {
        Box::pin(async move {
            // What is held is renewed without waiting behind strangers.
            let _place = if before.is_known {
                None
            } else {
                Some(timeout(PATIENCE, self.strangers.acquire()).await.map_err(|_| FetchError::Busy)?)
            };
            let answer = timeout(PATIENCE, self.insist(asked, before.used)).await;
            let answer = answer.unwrap_or(Err(ClientError::Late));
            answer.map_err(|error| FetchError::Unreachable(std::sync::Arc::new(error)))
        })
    }

    fn give_back(&self, returned: Vec<Returned>) -> Returning<'_> {
        Box::pin(async move {
            let body = serde_json::json!({ "returned": returned }).to_string();
            let Ok(request) = self.request(Method::POST, "/api/guard/returns", body) else { return };
            if let Err(error) = self.client.send(request).await {
                tracing::warn!(%error, "slices of budgets could not be given back: they end by time");
            }
        })
    }
}

impl std::fmt::Debug for Remote {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Remote").field("client", &self.client).finish_non_exhaustive()
    }
}

fn secretly(mut value: HeaderValue) -> HeaderValue {
    value.set_sensitive(true);
    value
}
