//! Who drives a connection, and who is woken for it.

use std::future::poll_fn;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};
use std::task::{Poll, Wake, Waker};

use http_body_util::BodyExt;
use hyper::body::Incoming;
use hyper::rt::Executor;
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};
use tokio::sync::mpsc;

use super::{Home, Homes, Loan};

/// A connection with an answer of which the head has come, the upstream's end, and where it is driven.
async fn answered() -> (Incoming, DuplexStream, Arc<Home>) {
    let (near, mut far) = tokio::io::duplex(1024);
    let (mut sender, connection) =
        hyper::client::conn::http1::handshake(hyper_util::rt::TokioIo::new(near)).await.unwrap();
    let (say, mut said) = mpsc::channel(1);
    let mut connection = Box::pin(connection);
    let work = poll_fn(move |cx| {
        if let Some(home) = Home::at_hand() {
            say.try_send(home).unwrap();
        }
        connection.as_mut().poll(cx).map(drop)
    });
    Homes.execute(Box::pin(work));
    let request = http::Request::new(http_body_util::Empty::<bytes::Bytes>::new());
    let server = async {
        let read = far.read(&mut [0; 512]).await.unwrap();
        assert!(read > 0);
        far.write_all(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n").await.unwrap();
    };
    let (answer, ()) = tokio::join!(sender.send_request(request), server);
    (answer.unwrap().into_body(), far, said.recv().await.unwrap())
}

#[derive(Default)]
struct Woken(AtomicU32);

impl Wake for Woken {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Relaxed);
    }
}

async fn next(loan: &mut Loan, frames: &mut Incoming) -> Option<Vec<u8>> {
    let frame = poll_fn(|cx| loan.poll_frame(frames, cx)).await?;
    Some(frame.unwrap().into_data().unwrap().to_vec())
}

#[tokio::test]
async fn the_reader_drives_what_it_has_on_loan_and_nobody_is_woken_for_a_chunk_but_the_reader() {
    let (mut frames, mut far, home) = answered().await;
    let mut loan = Loan::of(Arc::clone(&home)).unwrap();
    let task = Arc::<Woken>::default();
    home.who().task = Some(Waker::from(Arc::clone(&task)));
    for chunk in [b"a", b"b", b"c"] {
        let sent = async {
            tokio::task::yield_now().await;
            far.write_all(&[b"1\r\n", chunk.as_slice(), b"\r\n"].concat()).await.unwrap();
        };
        let (read, ()) = tokio::join!(next(&mut loan, &mut frames), sent);
        assert_eq!(read.unwrap(), chunk);
    }
    assert_eq!(task.0.load(Relaxed), 0);
    assert!(Loan::of(Arc::clone(&home)).is_none(), "it is lent once at a time");
    drop(loan);
    assert_eq!(task.0.load(Relaxed), 1, "the task at home goes on");
}

#[tokio::test]
async fn an_answer_is_read_to_its_end_by_one_reader_after_another_or_at_home() {
    let (mut frames, mut far, home) = answered().await;
    let mut loan = Loan::of(Arc::clone(&home)).unwrap();
    far.write_all(b"1\r\na\r\n").await.unwrap();
    assert_eq!(next(&mut loan, &mut frames).await.unwrap(), b"a");
    // It waits in one task and goes on in another.
    let waits = Arc::<Woken>::default();
    let waker = Waker::from(Arc::clone(&waits));
    assert!(loan.poll_frame(&mut frames, &mut std::task::Context::from_waker(&waker)).is_pending());
    let other = tokio::spawn(async move {
        let read = next(&mut loan, &mut frames).await;
        (read, loan, frames)
    });
    tokio::task::yield_now().await;
    far.write_all(b"1\r\nb\r\n").await.unwrap();
    let (read, loan, mut frames) = other.await.unwrap();
    assert_eq!((read.unwrap(), waits.0.load(Relaxed)), (b"b".to_vec(), 0));
    // Given back before the end.
    drop(loan);
    far.write_all(b"1\r\nc\r\n0\r\n\r\n").await.unwrap();
    assert_eq!(frames.frame().await.unwrap().unwrap().into_data().unwrap(), "c");
    assert!(frames.frame().await.is_none());
}

#[tokio::test]
async fn a_reader_whose_connection_wakes_itself_without_end_lets_others_run() {
    let (mut frames, _far, home) = answered().await;
    let mut loan = Loan::of(Arc::clone(&home)).unwrap();
    let looks = Arc::<AtomicU32>::default();
    let counted = Arc::clone(&looks);
    let mut work = home.work.lock().unwrap();
    let kept = work.take();
    *work = Some(Box::pin(poll_fn(move |cx| {
        let _ = &kept;
        counted.fetch_add(1, Relaxed);
        cx.waker().wake_by_ref();
        Poll::Pending
    })));
    drop(work);
    let reader = Arc::<Woken>::default();
    let waker = Waker::from(Arc::clone(&reader));
    assert!(loan.poll_frame(&mut frames, &mut std::task::Context::from_waker(&waker)).is_pending());
    assert_eq!((looks.load(Relaxed), reader.0.load(Relaxed)), (super::LOOKS as u32, 1));
}

#[tokio::test]
async fn a_connection_that_ends_while_it_is_lent_ends_at_home_too() {
    let (mut frames, far, home) = answered().await;
    let mut loan = Loan::of(Arc::clone(&home)).unwrap();
    drop(far);
    let broken = poll_fn(|cx| loan.poll_frame(&mut frames, cx)).await.unwrap();
    assert!(broken.is_err() && home.work.lock().unwrap().is_none());
    let alive = Arc::downgrade(&home);
    drop((loan, home, frames));
    while alive.upgrade().is_some() {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn a_connection_that_panics_is_gone_and_the_reader_learns_of_it() {
    let (mut frames, _far, home) = answered().await;
    let mut loan = Loan::of(Arc::clone(&home)).unwrap();
    let mut work = home.work.lock().unwrap();
    let kept = work.take();
    *work = Some(Box::pin(poll_fn(move |_| {
        let _ = &kept;
        panic!("a defect")
    })));
    drop(work);
    let mut poll = || loan.poll_frame(&mut frames, &mut std::task::Context::from_waker(Waker::noop()));
    let first = std::panic::catch_unwind(std::panic::AssertUnwindSafe(&mut poll));
    assert!(first.is_err());
    assert!(poll().is_ready(), "no frame will come");
}
