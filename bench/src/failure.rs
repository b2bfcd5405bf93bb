//! What can go wrong in a measurement, apart from its figures.

/// Why a part could not be measured.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// The system refused.
    #[error("{what}: {source}")]
    System {
        /// What was tried.
        what: String,
        /// Why not.
        source: std::io::Error,
    },
    /// The media plane refused.
    #[error("the media plane: {0}")]
    Media(#[from] media::MediaError),
    /// The WebRTC engine refused.
    #[error("the WebRTC engine: {0}")]
    WebRtc(#[from] webrtc::WebRtcError),
    /// The media plane did not answer in time.
    #[error("the media plane did not answer within {0} s; is the machine overloaded?")]
    Silent(u64),
    /// The generator's process ended or said something else than expected.
    #[error("the generator process: {0}")]
    Generator(String),
    /// The server's process did not do as expected.
    #[error("the server process: {0}")]
    Server(String),
    /// The machine cannot run this.
    #[error("{0}")]
    Machine(String),
}

/// A result of this crate.
pub type Result<T> = std::result::Result<T, Failure>;

/// Names what was tried.
pub trait Tried<T> {
    /// # Errors
    /// The error, with what was tried.
    fn tried(self, what: &str) -> Result<T>;
}

impl<T> Tried<T> for std::io::Result<T> {
    fn tried(self, what: &str) -> Result<T> {
        self.map_err(|source| Failure::System { what: what.to_owned(), source })
    }
}
