//! The Hugging Face hub, or a mirror of it.

mod address;
mod download;
mod http;
mod repo;
mod shared;

pub use download::keep_only;
pub use repo::Remote;
pub use shared::{SharedCache, Snapshot};

use std::path::Path;

use indicatif::ProgressBar;

use self::address::Address;
use self::http::{Http, TOKEN_VARIABLE};
use super::error::missing;
use super::record::FileRecord;

const ENDPOINT_VARIABLE: &str = "HF_ENDPOINT";
const OFFLINE_VARIABLE: &str = "HF_HUB_OFFLINE";
const USUAL_ENDPOINT: &str = "https://huggingface.co";

/// A connection to the hub.
#[derive(Debug)]
pub struct Hub {
    http: Http,
}

/// Whether the environment forbids to go online.
pub fn is_offline() -> bool {
    std::env::var(OFFLINE_VARIABLE).is_ok_and(|value| {
        let value = value.to_ascii_lowercase();
        matches!(value.as_str(), "1" | "true" | "yes" | "on")
    })
}

/// Says why nothing was fetched.
pub fn refuse_offline<T>(what: &str) -> anyhow::Result<T> {
    missing(format!(
        "{what}, and nothing is fetched with --offline or {OFFLINE_VARIABLE}=1; pull it without them, or add it from a file with `latentbit models add`"
    ))
}

/// The address that is asked, for records.
pub fn endpoint() -> String {
    let given = std::env::var(ENDPOINT_VARIABLE).unwrap_or_default();
    let text = if given.is_empty() { USUAL_ENDPOINT } else { &given };
    Address::parse(text).map_or_else(|| USUAL_ENDPOINT.to_owned(), |address| address.to_string())
}

impl Hub {
    /// The hub of `HF_ENDPOINT`, else the usual one; with `HF_TOKEN`, if that is set.
    ///
    /// # Errors
    /// If one of them cannot be used.
    pub fn from_env() -> anyhow::Result<Self> {
        let given = std::env::var(ENDPOINT_VARIABLE).unwrap_or_default();
        let text = if given.is_empty() { USUAL_ENDPOINT } else { &given };
        let Some(origin) = Address::parse(text) else {
            return crate::exit::usage(format!(
                "{ENDPOINT_VARIABLE}: expected an address such as {USUAL_ENDPOINT}, without a user or password"
            ));
        };
        let token = std::env::var(TOKEN_VARIABLE).unwrap_or_default();
        let token = (!token.trim().is_empty()).then(|| token.trim().to_owned());
        Ok(Self {
            http: Http::new(origin, token.as_deref())?,
        })
    }

    /// Asks what a file is.
    ///
    /// # Errors
    /// If it is not there, or the hub does not answer.
    pub fn look(&self, repo: &str, revision: &str, path: &str) -> anyhow::Result<Remote> {
        repo::look(&self.http, repo, revision, path)
    }

    /// Chooses the files of a model by the list of a repository; gives them and the commit that the list is of.
    ///
    /// # Errors
    /// If there is no such repository, or nothing or more than one thing in it that could be a model.
    pub fn choose(&self, repo: &str, revision: &str) -> anyhow::Result<(Vec<String>, Option<String>)> {
        repo::choose(&self.http, repo, revision)
    }

    /// Fetches a file into `folder`, beginning where an interrupted run stopped.
    ///
    /// # Errors
    /// If it does not come, or is not what the hub said; what came is kept in the first case only.
    pub fn fetch(&self, file: &Remote, folder: &Path, bar: &ProgressBar) -> anyhow::Result<FileRecord> {
        download::fetch(&self.http, file, folder, bar)
    }
}
