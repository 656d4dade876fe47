//! The one name that several control planes have, as a Kubernetes Service or a balancer gives them: each connection goes
//! to one of those that are there.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

type Behind = Arc<Mutex<Vec<Option<SocketAddr>>>>;

/// It closes when it is dropped.
pub(super) struct Door {
    pub(super) address: SocketAddr,
    behind: Behind,
    accepting: JoinHandle<()>,
}

impl Door {
    /// With room for so many behind it.
    pub(super) async fn open(places: usize) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let behind: Behind = Arc::new(Mutex::new(vec![None; places]));
        let known = Arc::clone(&behind);
        let accepting = tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                tokio::spawn(pass(client, Arc::clone(&known)));
            }
        });
        Self { address, behind, accepting }
    }

    /// Who is there now.
    pub(super) fn lead(&self, place: usize, to: Option<SocketAddr>) {
        self.behind.lock().unwrap()[place] = to;
    }
}

impl Drop for Door {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

/// A connection from its beginning to its end. Whoever is killed ends it; no one is told who stood behind it.
async fn pass(mut client: TcpStream, behind: Behind) {
    let mut there: Vec<_> = behind.lock().unwrap().iter().flatten().copied().collect();
    fastrand::shuffle(&mut there);
    for address in there {
        let Ok(mut server) = TcpStream::connect(address).await else { continue };
        let _ = (client.set_nodelay(true), server.set_nodelay(true));
        let _ = copy_bidirectional(&mut client, &mut server).await;
        return;
    }
}
