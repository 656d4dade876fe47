//! The connection to the store: TCP or TLS, signed in, one script.
//!
//! Errors say what went wrong by the store's own code and nothing of what was sent: a store that does not know a
//! command may repeat its arguments, the password among them. The connection does its work only while it is polled
//! here, so nothing outlives it.

use std::fmt::Write;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use redis::aio::MultiplexedConnection;
use redis::{AsyncConnectionConfig, Cmd, ErrorKind, FromRedisValue, RedisConnectionInfo, RedisError, RedisResult};
use rustls_pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use super::message::{Ask, SCRIPT, Told};
use super::pool::LEASE;
use crate::config::SharedLimits;
use crate::trust;

pub(super) struct Wire {
    connection: MultiplexedConnection,
    driver: Pin<Box<dyn Future<Output = ()> + Send>>,
    script: String,
}

/// Why the store is away.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StoreError {
    /// No connection.
    #[error("it was not reached: {0}")]
    Unreached(#[source] io::Error),
    /// No answer within this time.
    #[error("it did not answer within {0:?}")]
    Late(Duration),
    /// It closed the connection.
    #[error("it closed the connection")]
    Closed,
    /// It refused, with its own code: `WRONGPASS`, `NOAUTH`, `NOPERM`, `READONLY` and the like.
    #[error("it refused: {0}")]
    Refused(String),
    /// What answers is no such store.
    #[error("its answer could not be understood")]
    Answer,
}

impl Wire {
    pub(super) async fn open(settings: &SharedLimits) -> Result<Self, StoreError> {
        let place = (settings.host.as_str(), settings.port);
        let tcp = TcpStream::connect(place).await.map_err(StoreError::Unreached)?;
        tcp.set_nodelay(true).map_err(StoreError::Unreached)?;
        if !settings.tls {
            return Self::over(tcp, settings).await;
        }
        let unusable = |error: &dyn std::fmt::Display| StoreError::Unreached(io::Error::other(error.to_string()));
        let name = ServerName::try_from(settings.host.clone()).map_err(|error| unusable(&error))?;
        let trusting = trust::client(trust::roots()).map_err(|error| unusable(&error))?;
        let tls = TlsConnector::from(Arc::new(trusting)).connect(name, tcp);
        Self::over(tls.await.map_err(StoreError::Unreached)?, settings).await
    }

    async fn over(
        stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
        settings: &SharedLimits,
    ) -> Result<Self, StoreError> {
        let mut who = RedisConnectionInfo::default().set_db(settings.database).set_skip_set_lib_name();
        if let Some(username) = &settings.username {
            who = who.set_username(username);
        }
        if let Some(password) = &settings.password {
            who = who.set_password(password.expose());
        }
        // Time is watched by who asks.
        let config = AsyncConnectionConfig::new().set_response_timeout(None);
        let opened = MultiplexedConnection::new_with_config(&who, stream, config).await;
        let (connection, driver) = opened.map_err(|error| refused(&error))?;
        let mut wire = Self { connection, driver: Box::pin(driver), script: digest() };
        // A store that wants a password closes the connection at any longer command, without saying why.
        let answers: Vec<RedisResult<String>> = wire.send(vec![redis::cmd("PING")]).await?;
        answers.into_iter().try_for_each(|answer| answer.map(drop).map_err(|error| refused(&error)))?;
        Ok(wire)
    }

    /// One round trip: a script call for each message. A store that does not know the script is told it.
    pub(super) async fn exchange(&mut self, holder: &str, asks: &[Ask]) -> Result<Vec<Told>, StoreError> {
        let calls = asks.iter().map(|ask| script_call(("EVALSHA", &self.script), holder, ask)).collect();
        let answers: Vec<RedisResult<Vec<i64>>> = self.send(calls).await?;
        let unknown = |answer: &RedisResult<Vec<i64>>| answer.as_ref().err().is_some_and(is_unknown_script);
        let missed: Vec<usize> = (0..answers.len()).filter(|at| answers.get(*at).is_some_and(unknown)).collect();
        let mut again = Vec::new();
        if !missed.is_empty() {
            // The first call teaches the script to all that follow.
            let commands = missed.iter().enumerate().filter_map(|(nth, at)| {
                let how = if nth == 0 { ("EVAL", SCRIPT) } else { ("EVALSHA", self.script.as_str()) };
                asks.get(*at).map(|ask| script_call(how, holder, ask))
            });
            let commands = commands.collect();
            again = self.send(commands).await?;
        }
        let mut again = again.into_iter();
        let answers = answers.into_iter().map(|answer| if unknown(&answer) { again.next() } else { Some(answer) });
        let told = answers.zip(asks).map(|(answer, ask)| {
            let numbers = answer.ok_or(StoreError::Answer)?.map_err(|error| refused(&error))?;
            Told::read(&numbers, ask.needs.len()).ok_or(StoreError::Answer)
        });
        told.collect()
    }

    /// Waits until the connection is lost.
    pub(super) async fn lost(&mut self) -> StoreError {
        self.driver.as_mut().await;
        StoreError::Closed
    }

    async fn send<T: FromRedisValue>(&mut self, commands: Vec<Cmd>) -> Result<Vec<RedisResult<T>>, StoreError> {
        let mut pipeline = redis::pipe();
        for command in commands {
            pipeline.add_command(command);
        }
        pipeline.ignore_errors();
        let Self { connection, driver, .. } = self;
        tokio::select! {
            biased;
            answers = pipeline.query_async(connection) => answers.map_err(|error| refused(&error)),
            () = driver.as_mut() => Err(StoreError::Closed),
        }
    }
}

fn script_call((command, script): (&str, &str), holder: &str, ask: &Ask) -> Cmd {
    let mut call = redis::cmd(command);
    call.arg(script).arg(1).arg(&*ask.key).arg(holder).arg(LEASE.as_millis() as u64);
    for number in ask.numbers() {
        call.arg(number);
    }
    call
}

fn is_unknown_script(error: &RedisError) -> bool {
    error.code() == Some("NOSCRIPT")
}

fn refused(error: &RedisError) -> StoreError {
    match error.code() {
        Some(code) => StoreError::Refused(code.to_owned()),
        None if error.kind() == ErrorKind::AuthenticationFailed => {
            StoreError::Refused("the user or the password is wrong".to_owned())
        }
        None if error.is_connection_dropped() || error.is_io_error() => StoreError::Closed,
        None => StoreError::Answer,
    }
}

/// What the store knows the script by.
fn digest() -> String {
    use aws_lc_rs::digest::{SHA1_FOR_LEGACY_USE_ONLY, digest};
    let digest = digest(&SHA1_FOR_LEGACY_USE_ONLY, SCRIPT.as_bytes());
    digest.as_ref().iter().fold(String::new(), |mut hex, byte| {
        let _ = write!(hex, "{byte:02x}");
        hex
    })
}
