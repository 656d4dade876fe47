//! Connections to the authority: kept open, TLS where its URL says so, answers of a bounded size.

use std::fmt;
use std::time::Duration;

use bytes::Bytes;
use http::uri::PathAndQuery;
use http::{HeaderMap, Request, Response, StatusCode, Uri};
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Incoming;
use hyper_rustls::HttpsConnector;
use hyper_util::client::legacy::{self, connect::HttpConnector};
use hyper_util::rt::{TokioExecutor, TokioTimer};

use crate::trust;

/// No answer is longer: a grant lists a key's organizations and models.
const LONGEST: usize = 1 << 20;
const CONNECT: Duration = Duration::from_secs(2);
const IDLE: Duration = Duration::from_secs(30);

type Pool = legacy::Client<HttpsConnector<HttpConnector>, Full<Bytes>>;

pub(super) struct Client {
    pool: Pool,
    url: Uri,
}

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub(super) enum ClientError {
    #[error("it was not reached: {0}")]
    Unreached(#[from] legacy::Error),
    #[error("its answer broke off: {0}")]
    Broken(#[source] Box<dyn std::error::Error + Send + Sync>),
    #[error("it did not answer in time")]
    Late,
    #[error("it answered {0}")]
    Status(StatusCode),
    #[error("it does not know the SecretKey of this deployment")]
    Secret,
    #[error("its answer could not be understood")]
    Answer,
}

impl Client {
    pub(super) fn new(url: &Uri) -> Self {
        #[expect(clippy::expect_used, reason = "the provider is named there, and its default versions are its own")]
        let connector = trust::connector(url, CONNECT).expect("the provider has its default versions");
        let mut pool = legacy::Client::builder(TokioExecutor::new());
        let pool = pool.pool_timer(TokioTimer::new()).pool_idle_timeout(IDLE).build(connector);
        Self { pool, url: url.clone() }
    }

    /// The authority's URL with this path.
    pub(super) fn uri(&self, path: &str) -> Result<Uri, ClientError> {
        let mut parts = self.url.clone().into_parts();
        let path = format!("{}{path}", self.url.path().trim_end_matches('/'));
        parts.path_and_query = Some(PathAndQuery::try_from(path).map_err(|_| ClientError::Answer)?);
        Uri::from_parts(parts).map_err(|_| ClientError::Answer)
    }

    /// The whole answer.
    pub(super) async fn send(
        &self,
        request: Request<Full<Bytes>>,
    ) -> Result<(StatusCode, HeaderMap, Bytes), ClientError> {
        let (head, body) = self.open(request).await?.into_parts();
        let body = Limited::new(body, LONGEST).collect().await.map_err(ClientError::Broken)?;
        Ok((head.status, head.headers, body.to_bytes()))
    }

    /// The answer as it comes.
    pub(super) async fn open(&self, request: Request<Full<Bytes>>) -> Result<Response<Incoming>, ClientError> {
        Ok(self.pool.request(request).await?)
    }
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client").field("url", &self.url).finish_non_exhaustive()
    }
}
