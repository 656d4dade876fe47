//! A fast upstream: answers whole, in chunks, or as an event stream, as the path of its model says.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};
use http_body::{Body, Frame};
use http_body_util::{BodyExt, Either, Full};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

const WHOLE: &str = r#"{"id":"c","model":"soak-1","choices":[{"index":0,"message":{"role":"assistant","content":"hello you"},"finish_reason":"stop"}],"usage":{"prompt_tokens":10,"completion_tokens":2,"total_tokens":12}}"#;

/// The upstream.
pub(crate) struct Upstream {
    address: SocketAddr,
    accepting: JoinHandle<()>,
}

impl Upstream {
    pub(crate) async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let accepting = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let _ = stream.set_nodelay(true);
                tokio::spawn(http1::Builder::new().serve_connection(TokioIo::new(stream), service_fn(answer)));
            }
        });
        Self { address, accepting }
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }
}

impl Drop for Upstream {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

async fn answer(request: Request<Incoming>) -> Result<Response<Either<Full<Bytes>, Pieces>>, Infallible> {
    let body = request.into_body().collect().await.map(http_body_util::Collected::to_bytes).unwrap_or_default();
    let asks = |word: &str| body.windows(word.len()).any(|found| found == word.as_bytes());
    let (kind, body) = if asks("soak-sse") {
        ("text/event-stream", Either::Right(Pieces::stream()))
    } else if asks("soak-chunked") {
        let (one, two) = WHOLE.split_at(100);
        ("application/json", Either::Right(Pieces::of([one.to_owned(), two.to_owned()])))
    } else {
        ("application/json", Either::Left(Full::from(WHOLE)))
    };
    Ok(Response::builder().header("content-type", kind).body(body).unwrap())
}

/// A body whose length is not known before its end, with a pause before some of its pieces.
struct Pieces {
    left: VecDeque<Bytes>,
    pause: Option<Pin<Box<tokio::time::Sleep>>>,
}

impl Pieces {
    fn of(pieces: impl IntoIterator<Item = String>) -> Self {
        Self { left: pieces.into_iter().map(Bytes::from).collect(), pause: None }
    }

    fn stream() -> Self {
        let chunk = |delta: &str, rest: &str| {
            format!(
                "data: {{\"id\":\"c\",\"model\":\"soak-1\",\"choices\":[{{\"index\":0,\"delta\":{{{delta}}}{rest}}}]}}\n\n"
            )
        };
        let mut pieces = vec![chunk(r#""role":"assistant","content":"""#, "")];
        pieces.extend((0..fastrand::usize(2..8)).map(|_| chunk(r#""content":"word ""#, "")));
        pieces.push(chunk("", r#","finish_reason":"stop""#));
        pieces.push("data: {\"id\":\"c\",\"model\":\"soak-1\",\"choices\":[],\"usage\":{\"prompt_tokens\":10,\"completion_tokens\":5,\"total_tokens\":15}}\n\n".to_owned());
        pieces.push("data: [DONE]\n\n".to_owned());
        Self::of(pieces)
    }
}

impl Body for Pieces {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        if let Some(pause) = &mut self.pause
            && pause.as_mut().poll(cx).is_pending()
        {
            return Poll::Pending;
        }
        let next = self.left.pop_front();
        let pause = Duration::from_millis(fastrand::u64(0..4));
        self.pause = (!pause.is_zero()).then(|| Box::pin(tokio::time::sleep(pause)));
        Poll::Ready(next.map(|piece| Ok(Frame::data(piece))))
    }
}
