//! Requests to the hub, and the redirects that it answers with.

use std::sync::Arc;
use std::thread::sleep;
use std::time::Duration;

use anyhow::{Context, anyhow};
use ureq::config::Config;
use ureq::http::{HeaderMap, HeaderValue, Request, header};
use ureq::tls::{Certificate, RootCerts, TlsConfig};
use ureq::{Agent, Body};

use super::address::Address;
use crate::exit::ModelError;

/// Names the variable that holds a token of the hub.
pub const TOKEN_VARIABLE: &str = "HF_TOKEN";

/// The length of a file that is kept elsewhere.
pub const LINKED_SIZE: &str = "x-linked-size";

/// The hub needs three at most.
const MAX_REDIRECTS: usize = 10;

/// Tries in a row without progress.
const TRIES: u32 = 3;

const PAUSE: Duration = Duration::from_millis(500);

const CONNECT_TIMEOUT: Duration = Duration::from_secs(30);

/// For a single read, because nobody knows how long a whole file takes.
const STALL_TIMEOUT: Duration = Duration::from_secs(60);

/// Sends requests, with the token to the hub itself only.
pub struct Http {
    agent: Agent,
    origin: Address,
    authorization: Option<HeaderValue>,
}

/// What to ask for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ask {
    /// Headers only; ends where the hub redirects to storage, which need not answer such requests.
    Head,
    /// The content, from this byte on.
    Get {
        /// The first byte.
        from: u64,
    },
}

/// An answer that is no redirect, unless [`Ask::Head`] ended at one.
pub struct Answer {
    /// Its status.
    pub status: u16,
    /// Its headers.
    pub headers: HeaderMap,
    /// All answers on the way here, this one too.
    pub way: Vec<Hop>,
    /// Its content.
    pub body: Body,
    /// Where it came from.
    pub address: Address,
}

/// One answer, maybe a redirect.
pub struct Hop {
    /// Whether it is from the hub itself, not from another host that it redirected to.
    pub at_hub: bool,
    /// Its headers.
    pub headers: HeaderMap,
}

/// Why a request failed.
#[derive(Debug)]
pub struct Failure {
    /// Whether the same request can go well a moment later.
    pub transient: bool,
    /// What went wrong.
    pub error: anyhow::Error,
}

impl Failure {
    /// A failure that stays.
    pub fn lasting(error: anyhow::Error) -> Self {
        Self {
            transient: false,
            error,
        }
    }

    /// A failure that may pass.
    pub fn passing(error: anyhow::Error) -> Self {
        Self {
            transient: true,
            error,
        }
    }
}

impl std::fmt::Debug for Http {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Http")
            .field("origin", &self.origin)
            .finish_non_exhaustive()
    }
}

impl Http {
    /// Prepares requests to `origin`.
    ///
    /// # Errors
    /// If `token` cannot be sent.
    pub fn new(origin: Address, token: Option<&str>) -> anyhow::Result<Self> {
        let authorization = token.map(authorization).transpose()?;
        Ok(Self {
            agent: agent(),
            origin,
            authorization,
        })
    }

    /// The hub.
    pub fn origin(&self) -> &Address {
        &self.origin
    }

    /// Whether requests carry a token.
    pub fn has_token(&self) -> bool {
        self.authorization.is_some()
    }

    /// Sends a request, and follows redirects.
    ///
    /// # Errors
    /// If no answer came, or it was no success; the message names the address.
    pub fn send(&self, ask: Ask, start: &Address) -> Result<Answer, Failure> {
        let mut address = start.clone();
        let mut way = Vec::new();
        for _ in 0..=MAX_REDIRECTS {
            let response = self.send_once(ask, &address)?;
            let status = response.status().as_u16();
            let (parts, body) = response.into_parts();
            let at_hub = address.same_origin(&self.origin);
            way.push(Hop {
                at_hub,
                headers: parts.headers.clone(),
            });
            let location = match status {
                301 | 302 | 303 | 307 | 308 => parts.headers.get(header::LOCATION),
                _ => None,
            };
            let Some(location) = location else {
                let answer = Answer {
                    status,
                    headers: parts.headers,
                    way,
                    body,
                    address,
                };
                return self.successful(answer);
            };
            let next = location.to_str().ok().and_then(|location| address.join(location));
            let Some(next) = next else {
                return Err(Failure::lasting(anyhow!(
                    "{address}: the server redirects to an address that cannot be used"
                )));
            };
            if address.is_secure() && !next.is_secure() {
                return Err(Failure::lasting(anyhow!(
                    "{address}: the server redirects from HTTPS to plain HTTP, {next}; refused"
                )));
            }
            if ask == Ask::Head && !next.same_origin(&address) && says_length(&parts.headers) {
                return Ok(Answer {
                    status,
                    headers: parts.headers,
                    way,
                    body,
                    address,
                });
            }
            tracing::debug!("{address}: redirected to {next}");
            address = next;
        }
        Err(Failure::lasting(anyhow!(
            "{start}: more than {MAX_REDIRECTS} redirects"
        )))
    }

    fn send_once(&self, ask: Ask, address: &Address) -> Result<ureq::http::Response<Body>, Failure> {
        let method = if ask == Ask::Head { "HEAD" } else { "GET" };
        // Lengths and ranges are those of the file only without compression.
        let mut request = Request::builder()
            .method(method)
            .uri(address.full())
            .header(header::ACCEPT_ENCODING, "identity");
        if let Some(token) = &self.authorization
            && address.same_origin(&self.origin)
        {
            request = request.header(header::AUTHORIZATION, token);
        }
        if let Ask::Get { from } = ask
            && from > 0
        {
            request = request.header(header::RANGE, format!("bytes={from}-"));
        }
        let request = request
            .body(())
            .with_context(|| format!("{address}: not an address that can be asked"))
            .map_err(Failure::lasting)?;
        self.agent.run(request).map_err(|error| {
            let lasting = matches!(
                error,
                ureq::Error::HostNotFound
                    | ureq::Error::BadUri(_)
                    | ureq::Error::Http(_)
                    | ureq::Error::Tls(_)
                    | ureq::Error::Rustls(_)
                    | ureq::Error::InvalidProxyUrl
            );
            let message = format!("{address}: no answer; check the network, HF_ENDPOINT and HTTPS_PROXY");
            Failure {
                transient: !lasting,
                error: anyhow::Error::from(error).context(message),
            }
        })
    }

    fn successful(&self, answer: Answer) -> Result<Answer, Failure> {
        let address = &answer.address;
        let told = told(&answer);
        let lasting = |error: ModelError| Err(Failure::lasting(error.into()));
        match answer.status {
            200 | 206 | 416 => Ok(answer),
            401 | 403 => {
                let advice = match self.has_token() {
                    true => format!("the token of {TOKEN_VARIABLE} does not allow it"),
                    false => format!("set {TOKEN_VARIABLE}"),
                };
                lasting(ModelError::Missing(format!(
                    "{address}: there is no such repository, or it needs permission ({}{told}); check the name, accept the terms on the page of the model, and {advice}",
                    answer.status
                )))
            }
            404 | 410 => lasting(ModelError::Missing(format!(
                "{address}: there is no such file ({}{told}); check the repository, the file and --revision",
                answer.status
            ))),
            408 | 425 | 429 | 500..=599 => Err(Failure::passing(anyhow!(
                "{address}: the server cannot answer now ({}{told}); try again later",
                answer.status
            ))),
            status => Err(Failure::lasting(anyhow!(
                "{address}: expected the file, found the status {status}{told}"
            ))),
        }
    }
}

/// Runs `action` until it succeeds, or fails for good or too often.
pub fn with_retries<T>(mut action: impl FnMut() -> Result<T, Failure>) -> anyhow::Result<T> {
    let mut tries = 0;
    loop {
        match action() {
            Ok(value) => return Ok(value),
            Err(failure) => {
                tries += 1;
                pause_or_fail(failure, tries)?;
            }
        }
    }
}

/// Waits before the next try, or fails if this was the last one.
pub fn pause_or_fail(failure: Failure, tries: u32) -> anyhow::Result<()> {
    if !failure.transient || tries >= TRIES {
        return Err(failure.error);
    }
    tracing::info!("{:#}; trying again", failure.error);
    sleep(PAUSE * tries);
    Ok(())
}

fn authorization(token: &str) -> anyhow::Result<HeaderValue> {
    let value = HeaderValue::from_str(&format!("Bearer {token}"));
    // The error would show the token.
    let Ok(mut value) = value else {
        return crate::exit::usage(format!("{TOKEN_VARIABLE}: not a token of the hub"));
    };
    value.set_sensitive(true);
    Ok(value)
}

fn agent() -> Agent {
    // Fails only if there is one already, which is as good.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let found = rustls_native_certs::load_native_certs();
    for error in &found.errors {
        tracing::debug!("certificates of the system: {error}");
    }
    if found.certs.is_empty() {
        tracing::warn!(
            "the system has no root certificates, so no HTTPS server can be trusted; install ca-certificates or set SSL_CERT_FILE"
        );
    }
    let certs: Vec<_> = found
        .certs
        .iter()
        .map(|cert| Certificate::from_der(cert).to_owned())
        .collect();
    let tls = TlsConfig::builder()
        .root_certs(RootCerts::Specific(Arc::new(certs)))
        .build();
    Config::builder()
        .http_status_as_error(false)
        .max_redirects(0)
        .max_redirects_will_error(false)
        .user_agent(concat!("latentbit/", env!("CARGO_PKG_VERSION")))
        .timeout_connect(Some(CONNECT_TIMEOUT))
        .timeout_recv_response(Some(STALL_TIMEOUT))
        .timeout_per_read(Some(STALL_TIMEOUT))
        .tls_config(tls)
        .build()
        .new_agent()
}

/// Whether the hub itself says how long the file behind a redirect is.
fn says_length(headers: &HeaderMap) -> bool {
    headers.contains_key(LINKED_SIZE)
}

/// What the hub says about an error, made safe to print.
fn told(answer: &Answer) -> String {
    let said = answer
        .way
        .last()
        .map(|hop| &hop.headers)
        .and_then(|headers| {
            headers
                .get("x-error-message")
                .or_else(|| headers.get("x-error-code"))
        })
        .and_then(|value| value.to_str().ok());
    said.map_or_else(String::new, |said| {
        let said: String = said.chars().filter(|c| !c.is_control()).take(200).collect();
        format!(": {said}")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_that_cannot_be_sent_is_not_shown() {
        assert!(authorization("hf_abc").unwrap().is_sensitive());
        let error = authorization("secret\nX: y").unwrap_err();
        assert!(!format!("{error:?}").contains("secret"));
    }

    #[test]
    fn what_passes_is_tried_again_and_what_stays_is_not() {
        let mut calls = 0;
        let mut failing = |transient| {
            calls = 0;
            let result: anyhow::Result<()> = with_retries(|| {
                calls += 1;
                Err(Failure {
                    transient,
                    error: anyhow!("x"),
                })
            });
            assert!(result.is_err());
            calls
        };
        assert_eq!(failing(false), 1);
        assert_eq!(failing(true), TRIES);
    }
}
