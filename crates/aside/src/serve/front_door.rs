//! The front door: its certificate authority is a file of the data directory, so that it can be shown while the server runs.

use std::fs::{DirBuilder, OpenOptions};
use std::io::{self, Write};
use std::net::SocketAddr;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use async_trait::async_trait;
use axum::Router;
use plivo::front_door::{Authority, AuthorityError, AuthorityStore, FrontDoor, Limits};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use super::{StartError, bind};
use crate::config::Config;

struct InFile {
    directory: PathBuf,
}

impl InFile {
    fn path(&self) -> PathBuf {
        self.directory.join("authority.pem")
    }

    fn write(&self, text: &str) -> io::Result<()> {
        DirBuilder::new().recursive(true).mode(0o700).create(&self.directory)?;
        let unfinished = self.directory.join(format!("authority.{}.new", std::process::id()));
        let mut file = OpenOptions::new().create(true).truncate(true).write(true).mode(0o600).open(&unfinished)?;
        file.write_all(text.as_bytes())?;
        file.sync_all()?;
        std::fs::rename(&unfinished, self.path())
    }
}

#[async_trait]
impl AuthorityStore for InFile {
    async fn load(&self) -> Result<Option<String>, String> {
        match std::fs::read_to_string(self.path()) {
            Ok(text) => Ok(Some(text)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(format!("{}: {error}", self.path().display())),
        }
    }

    async fn save(&self, text: &str) -> Result<(), String> {
        self.write(text).map_err(|error| format!("{}: {error}", self.path().display()))
    }
}

/// The authority of the data directory, made if there is none.
///
/// # Errors
/// What the authority says.
pub async fn load_or_make(data_dir: &Path, names: &[String]) -> Result<Authority, AuthorityError> {
    authority_in(data_dir.join("front-door"), names).await
}

/// The authority of a directory, made if there is none.
pub(super) async fn authority_in(directory: PathBuf, names: &[String]) -> Result<Authority, AuthorityError> {
    Authority::load_or_make(&InFile { directory }, names).await
}

/// A bound front door.
pub(super) struct Door {
    pub listener: TcpListener,
    /// The address that was asked for.
    pub asked: SocketAddr,
    authority: Authority,
    names: Vec<String>,
    connections: usize,
}

/// Binds the front door, if there is to be one.
pub(super) async fn open(config: &Config) -> Result<Option<Door>, StartError> {
    let Some(asked) = config.http.front_door else { return Ok(None) };
    let names = config.http.front_door_names.clone();
    let authority = load_or_make(&config.server.data_dir, &names).await?;
    if authority.is_new() {
        tracing::warn!(
            "the front door has a new certificate authority; programs must trust what `aside front-door ca` prints"
        );
    }
    // Certificates that cannot be made are found at the start.
    authority.server_config()?;
    let listener = bind("[http] front_door", asked).await?;
    Ok(Some(Door { listener, asked, authority, names, connections: config.http.connections }))
}

impl Door {
    /// Answers until `stop`.
    pub async fn serve(self, router: Router, stop: CancellationToken) {
        let Self { listener, authority, names, connections, .. } = self;
        let tls = match authority.server_config() {
            Ok(tls) => tls,
            Err(error) => {
                tracing::error!(%error, "the front door stays closed");
                return;
            }
        };
        let door = FrontDoor { tls, router, names, limits: Limits { connections, ..Limits::default() } };
        if let Err(error) = plivo::front_door::serve(listener, door, stop.cancelled_owned()).await {
            tracing::error!(%error, "the front door ended");
        }
    }
}
