//! What the hub tells of a file before it is fetched.

use anyhow::anyhow;
use ureq::http::HeaderMap;

use super::address::Address;
use super::download::with_retries;
use super::http::{Ask, Http};

/// The length of a file that is kept elsewhere.
pub const LINKED_SIZE: &str = "x-linked-size";
const LINKED_ETAG: &str = "x-linked-etag";
const COMMIT: &str = "x-repo-commit";
const ETAG: &str = "etag";
const LENGTH: &str = "content-length";

/// A file on the hub.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Remote {
    /// Where it is.
    pub address: Address,
    /// Its path in the repository.
    pub path: String,
    /// Its length.
    pub bytes: u64,
    /// The commit that it is of.
    pub commit: Option<String>,
    /// What changes when it does.
    pub etag: Option<String>,
    /// Its SHA-256, if the hub tells.
    pub sha256: Option<String>,
}

/// Asks the hub.
pub fn look(http: &Http, repo: &str, revision: &str, path: &str) -> anyhow::Result<Remote> {
    let address = |revision| {
        let parts = repo.split('/').chain(["resolve", revision]);
        http.origin().below(parts.chain(path.split('/')))
    };
    let asked = address(revision);
    let answer = with_retries(|| http.send(Ask::Head, &asked))?;
    let first = |name, hub_only: bool| {
        let mut hops = answer.way.iter().filter(|hop| hop.at_hub || !hub_only);
        hops.find_map(|hop| text(&hop.headers, name)).map(str::to_owned)
    };
    let here = |name| text(&answer.headers, name).map(str::to_owned);
    // A mirror may redirect to the hub, so what only hubs say is taken from whoever says it.
    let linked_etag = first(LINKED_ETAG, false).map(|etag| bare(&etag));
    // Storage behind a redirect has tags of its own, which can look like a SHA-256 and be none.
    let hub_etag = first(ETAG, true).map(|etag| bare(&etag));
    // A redirect has a length, too: that of its own few words.
    let length = first(LINKED_SIZE, false).or_else(|| (answer.status == 200).then(|| here(LENGTH))?);
    let Some(bytes) = length.and_then(|length| length.parse().ok()) else {
        return Err(anyhow!(
            "{asked}: the server does not say how long the file is; is this the hub or a mirror of it?"
        ));
    };
    let commit = first(COMMIT, false).filter(|commit| is_hex(commit, 40));
    let sha256 = linked_etag.iter().chain(&hub_etag).find(|etag| is_hex(etag, 64));
    Ok(Remote {
        // All requests for a model are to find the same commit, whatever happens to the branch meanwhile.
        address: commit.as_deref().map_or_else(|| asked.clone(), address),
        path: path.to_owned(),
        bytes,
        sha256: sha256.map(|etag| etag.to_ascii_lowercase()),
        etag: linked_etag
            .or(hub_etag)
            .or_else(|| here(ETAG).map(|etag| bare(&etag))),
        commit,
    })
}

fn text<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name)?.to_str().ok()
}

fn bare(etag: &str) -> String {
    etag.trim_start_matches("W/").trim_matches('"').to_owned()
}

fn is_hex(text: &str, length: usize) -> bool {
    text.len() == length && text.bytes().all(|b| b.is_ascii_hexdigit())
}
