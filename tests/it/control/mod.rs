//! The control plane: its store on both databases, and what it answers.

mod guard_api;
mod ledger;
mod loans;
mod revocations;
mod store;

use http::Request;
use http_body_util::Full;
use tempfile::TempDir;
use tollgate::config::Database;
use tollgate::control::store::Store;
use tollgate::types::Secret;

use crate::peers::{PostgresPeer, off_runtime};
use crate::support::{Got, Mock, Reply, World};

/// Which database a test runs on.
#[derive(Clone, Copy, Debug)]
pub(crate) enum On {
    Sqlite,
    Postgres,
}

/// A fresh database.
pub(crate) struct Place {
    pub(crate) database: Database,
    /// The URL as it stands in a configuration.
    pub(crate) url: String,
    _dir: TempDir,
}

impl Place {
    pub(crate) async fn new(on: On) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let (database, url) = match on {
            On::Sqlite => {
                let path = dir.path().join("control plane.db");
                let url = format!("sqlite://{}", path.display());
                (Database::Sqlite(path), url)
            }
            On::Postgres => {
                let url = off_runtime(|| PostgresPeer::shared().database()).await;
                (Database::Postgres(Secret::new(url.clone())), url)
            }
        };
        Self { database, url, _dir: dir }
    }

    pub(crate) async fn open(&self) -> Store {
        Store::open(&self.database).await.unwrap()
    }
}

/// The `SecretKey` of the deployment in these tests.
pub(crate) const SECRET: &str = "the-deployments-secret";

/// A Tollgate with a control plane, and the store behind it.
pub(crate) struct Api {
    pub(crate) world: World,
    pub(crate) store: Store,
    pub(crate) place: Place,
    _upstream: Mock,
}

/// An answer: status, content type, text.
pub(crate) type Answer = (u16, String, String);

impl Api {
    pub(crate) async fn new(on: On) -> Self {
        Self::with(on, "", None).await
    }

    /// With more settings, and with a keys file beside the store.
    pub(crate) async fn with(on: On, settings: &str, keys: Option<&str>) -> Self {
        let place = Place::new(on).await;
        let (world, upstream) = place.world(settings, keys).await;
        Self { world, store: place.open().await, place, _upstream: upstream }
    }

    /// Posts to the guard API with these headers beside the content type.
    pub(crate) async fn post(&self, path: &str, headers: &[(&str, &str)], body: &str) -> Answer {
        let got = self.send("POST", path, (headers, body)).await;
        let kind = got.header("content-type").unwrap_or_default().to_owned();
        (got.status.as_u16(), kind, got.text().await)
    }

    pub(crate) async fn send(&self, method: &str, path: &str, (headers, body): (&[(&str, &str)], &str)) -> Got {
        let mut request = Request::builder().method(method).uri(path).header("content-type", "application/json");
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        self.world.client().await.send(request.body(Full::new(body.to_owned().into())).unwrap()).await
    }
}

impl Place {
    /// A Tollgate whose control plane keeps everything here. Several may.
    pub(crate) async fn world(&self, settings: &str, keys: Option<&str>) -> (World, Mock) {
        let upstream = Mock::always(Reply::json(200, r#"{"choices":[]}"#)).await;
        let control = format!("control: {{ database: {:?}, guard_secret: {{ value: {SECRET} }} }}\n", self.url);
        let mut world = World::before(&upstream).with(&control).with(settings);
        if let Some(keys) = keys {
            world = world.keys(keys);
        }
        (world.start().await, upstream)
    }
}

/// Runs each test on both databases.
macro_rules! on_both {
    ($($name:ident)*) => {
        mod sqlite {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $name() {
                super::$name($crate::control::On::Sqlite).await;
            })*
        }
        mod postgres {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $name() {
                super::$name($crate::control::On::Postgres).await;
            })*
        }
    };
}
pub(crate) use on_both;
