//! What asks servers: settings, redirects, and what may be said to whom.

use std::fs;
use std::io;
use std::path::PathBuf;
use std::time::{Duration, SystemTime};

use ureq::http::{HeaderMap, header};
use ureq::tls::{PemItem, RootCerts, TlsConfig};
use ureq::{Agent, Body, Timeout};

use crate::address::Address;
use crate::proxy::Proxy;
use crate::retry::retry_after;
use crate::text;
use crate::{Credentials, FetchError, Secret};

/// How a [`Client`] asks.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Settings {
    /// Refuses every request.
    pub offline: bool,
    /// `[http://][user:password@]host[:port]`, for all but this machine.
    pub proxy: Option<Secret>,
    /// Hosts that are asked without the proxy, with commas, as curl reads `NO_PROXY`.
    pub no_proxy: String,
    /// A PEM file of the certificates to trust, instead of Mozilla's: for networks whose proxy opens encrypted
    /// connections to look into them.
    pub certificates: Option<PathBuf>,
    /// For the name, the connection, its encryption, and again for the head of the answer.
    pub connect_timeout: Duration,
    /// For the next byte to come.
    pub idle_timeout: Duration,
    /// Failures in a row, none of which brought anything, before it is given up.
    pub attempts: u32,
    /// Before the second attempt; doubled for each one after it.
    pub first_wait: Duration,
    /// The longest wait, and the longest that a server may ask for with `Retry-After`.
    pub longest_wait: Duration,
}

impl Default for Settings {
    fn default() -> Self {
        Settings {
            offline: false,
            proxy: None,
            no_proxy: String::new(),
            certificates: None,
            connect_timeout: Duration::from_secs(30),
            idle_timeout: Duration::from_secs(60),
            attempts: 5,
            first_wait: Duration::from_secs(1),
            longest_wait: Duration::from_secs(600),
        }
    }
}

impl Settings {
    /// As `LUNGFISH_OFFLINE`, `HTTPS_PROXY` (else `ALL_PROXY`), `NO_PROXY` and `SSL_CERT_FILE` say; small letters do
    /// for the proxies as well, and win.
    pub fn from_env() -> Self {
        Self::from_variables(&|name| std::env::var(name).ok().filter(|value| !value.is_empty()))
    }

    fn from_variables(variable: &dyn Fn(&str) -> Option<String>) -> Self {
        let first = |names: &[&str]| names.iter().find_map(|name| variable(name));
        Settings {
            offline: variable("LUNGFISH_OFFLINE").is_some_and(|value| !["0", "false", "no"].contains(&value.as_str())),
            proxy: first(&["https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"]).map(Secret::new),
            no_proxy: first(&["no_proxy", "NO_PROXY"]).unwrap_or_default(),
            certificates: variable("SSL_CERT_FILE").map(PathBuf::from),
            ..Settings::default()
        }
    }
}

/// Asks servers. Cheap to clone.
#[derive(Clone)]
pub struct Client {
    settings: Settings,
    direct: Agent,
    proxied: Option<(std::sync::Arc<Proxy>, Agent)>,
}

impl std::fmt::Debug for Client {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Client").field("settings", &self.settings).finish_non_exhaustive()
    }
}

/// What is asked for.
#[derive(Clone, Debug)]
pub(crate) struct Ask {
    pub address: Address,
    pub credentials: Option<Credentials>,
    /// The first byte that is wanted, and what says that the file is still the same one.
    pub from: Option<(u64, Option<String>)>,
}

/// The head of an answer, and its body to be read.
pub(crate) struct Answer {
    pub status: u16,
    /// Who gave it: where redirects led.
    pub address: Address,
    pub headers: HeaderMap,
    pub body: Body,
}

/// Why there is no answer, or no whole one.
#[derive(Debug)]
pub(crate) enum Failure {
    /// It may work later.
    Passing {
        reason: String,
        /// What the server asks for.
        after: Option<Duration>,
    },
    /// It will not.
    Lasting(FetchError),
}

impl Failure {
    pub(crate) fn passing(reason: impl Into<String>) -> Self {
        Failure::Passing { reason: reason.into(), after: None }
    }
}

impl Client {
    /// A client with these settings.
    ///
    /// # Errors
    /// A proxy or file of certificates that cannot be used.
    pub fn new(settings: Settings) -> Result<Self, FetchError> {
        let certificates = settings.certificates.as_ref().map(read_certificates).transpose()?;
        let agent = |proxy: Option<ureq::Proxy>| {
            let mut tls = TlsConfig::builder();
            if let Some(certificates) = &certificates {
                tls = tls.root_certs(certificates.clone());
            }
            Agent::config_builder()
                .proxy(proxy)
                .tls_config(tls.build())
                // Redirects are followed here, one by one, and every status is told in words.
                .max_redirects(0)
                .http_status_as_error(false)
                .user_agent(concat!("lungfish/", env!("CARGO_PKG_VERSION")))
                .accept_encoding("identity")
                .timeout_resolve(Some(settings.connect_timeout))
                .timeout_connect(Some(settings.connect_timeout))
                .timeout_recv_response(Some(settings.idle_timeout))
                .timeout_per_read(Some(settings.idle_timeout))
                .timeout_per_write(Some(settings.idle_timeout))
                .build()
                .new_agent()
        };
        let proxied = match &settings.proxy {
            Some(text) => {
                let proxy = Proxy::parse("HTTPS_PROXY or ALL_PROXY", text.reveal(), &settings.no_proxy)?;
                let agent = agent(Some(proxy.proxy.clone()));
                Some((std::sync::Arc::new(proxy), agent))
            }
            None => None,
        };
        Ok(Client { direct: agent(None), proxied, settings })
    }

    /// A client as the environment says; see [`Settings::from_env`].
    ///
    /// # Errors
    /// As [`Client::new`].
    pub fn from_env() -> Result<Self, FetchError> {
        Self::new(Settings::from_env())
    }

    /// How it asks.
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// Asks once, following redirects. Credentials go to the origin that was asked for and to no other, and a
    /// redirect away from it and back does not bring them again.
    pub(crate) fn ask(&self, ask: &Ask) -> Result<Answer, Failure> {
        const MOST_REDIRECTS: usize = 10;
        if self.settings.offline {
            return Err(Failure::Lasting(FetchError::Offline { what: ask.address.to_string() }));
        }
        let mut address = ask.address.clone();
        let mut credentials = ask.credentials.as_ref();
        for _ in 0..=MOST_REDIRECTS {
            let response = self.ask_one(&address, credentials, ask.from.as_ref())?;
            let status = response.status().as_u16();
            if !matches!(status, 301 | 302 | 303 | 307 | 308) {
                let (parts, body) = response.into_parts();
                return Ok(Answer { status, address, headers: parts.headers, body });
            }
            let location = response.headers().get(header::LOCATION);
            let location = location.map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned());
            let Some(location) = location else {
                return Err(Failure::passing(format!("{address} redirects without saying where")));
            };
            let next = address.join(&location).map_err(|reason| {
                // A signed address holds a key after its `?`.
                let to = location.split(['?', '#']).next().unwrap_or_default();
                Failure::Lasting(FetchError::Redirect {
                    address: address.to_string(),
                    to: text::plain(&without_user(to), 200),
                    reason: reason.to_owned(),
                })
            })?;
            if !next.same_origin(&ask.address) {
                credentials = None;
            }
            address = next;
        }
        Err(Failure::passing(format!("{} redirects in a circle", ask.address)))
    }

    fn ask_one(
        &self,
        address: &Address,
        credentials: Option<&Credentials>,
        from: Option<&(u64, Option<String>)>,
    ) -> Result<ureq::http::Response<Body>, Failure> {
        let proxied = self.proxied.as_ref().filter(|(proxy, _)| proxy.is_for(address));
        let agent = proxied.map_or(&self.direct, |(_, agent)| agent);
        let mut request = agent.get(address.uri().clone());
        if let Some(credentials) = credentials {
            request = request.header(header::AUTHORIZATION, credentials.header());
        }
        if let Some((from, validator)) = from {
            request = request.header(header::RANGE, format!("bytes={from}-"));
            if let Some(validator) = validator {
                request = request.header(header::IF_RANGE, validator);
            }
        }
        request.call().map_err(|error| self.failure(error, address, proxied.map(|(proxy, _)| proxy.as_ref())))
    }

    /// What an error of the connection means.
    fn failure(&self, error: ureq::Error, address: &Address, proxy: Option<&Proxy>) -> Failure {
        let host = match proxy {
            Some(proxy) => format!("the proxy {}", proxy.shown()),
            None => address.host(),
        };
        match error {
            ureq::Error::HostNotFound => Failure::passing(format!(
                "{host} is not found: is this machine online? (behind a proxy, HTTPS_PROXY names it)"
            )),
            ureq::Error::Rustls(error) => untrusted(address, &error),
            // What the TLS library says while it connects.
            ureq::Error::Io(error) if error.kind() == io::ErrorKind::InvalidData => untrusted(address, &error),
            error => Failure::passing(format!("{host}: {}", reason(error, &self.settings))),
        }
    }
}

/// A connection whose other side is not who it should be. Trying again would not change that.
fn untrusted(address: &Address, error: &dyn std::fmt::Display) -> Failure {
    let error = text::plain(&error.to_string(), 200);
    let reason = format!(
        "the encrypted connection was refused ({error}); where a proxy looks into connections, SSL_CERT_FILE names the \
         file with its certificate"
    );
    Failure::Lasting(FetchError::Connection { address: address.to_string(), reason, kept: 0 })
}

/// What an error of a connection means, in words.
fn reason(error: ureq::Error, settings: &Settings) -> String {
    match error {
        ureq::Error::Timeout(Timeout::Resolve | Timeout::Connect) => {
            format!("no connection within {} s", settings.connect_timeout.as_secs_f64())
        }
        ureq::Error::Timeout(_) => format!("nothing came for {} s", settings.idle_timeout.as_secs_f64()),
        ureq::Error::ConnectProxyFailed(reason) => text::plain(&reason, 200),
        ureq::Error::Io(error) => io_reason(&error),
        error => text::plain(&error.to_string(), 200),
    }
}

fn io_reason(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::UnexpectedEof | io::ErrorKind::ConnectionReset | io::ErrorKind::ConnectionAborted => {
            "the connection was cut".to_owned()
        }
        io::ErrorKind::ConnectionRefused => "the connection was refused".to_owned(),
        _ => text::plain(&error.to_string(), 200),
    }
}

/// What a failed read of a body means.
pub(crate) fn body_failure(error: io::Error, settings: &Settings) -> String {
    reason(ureq::Error::from(error), settings)
}

impl Answer {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }

    /// What `Retry-After` asks for.
    pub(crate) fn retry_after(&self) -> Option<Duration> {
        retry_after(self.header("retry-after")?, SystemTime::now())
    }

    /// What the server says in words, from its JSON or plain text; nothing where it sends a page.
    pub(crate) fn words(&mut self) -> Option<String> {
        let kind = self.header("content-type").unwrap_or_default().to_ascii_lowercase();
        if kind.contains("html") {
            return None;
        }
        let text = self.body.with_config().limit(16 << 10).lossy_utf8(true).read_to_string().ok()?;
        let json: Option<serde_json::Value> = serde_json::from_str(&text).ok();
        let words = match &json {
            Some(json) => json.get("message").or(json.get("error")).and_then(|words| words.as_str())?,
            None if text.trim_start().starts_with('<') => return None,
            None => text.as_str(),
        };
        let words = text::plain(words, 300);
        (!words.is_empty()).then_some(words)
    }
}

/// An address without `user:password@`.
fn without_user(address: &str) -> String {
    match address.split_once("://") {
        Some((scheme, rest)) => {
            let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
            format!("{scheme}://{}{path}", authority.rsplit('@').next().unwrap_or_default())
        }
        None => address.to_owned(),
    }
}

fn read_certificates(path: &PathBuf) -> Result<RootCerts, FetchError> {
    let wrong = |reason: String| FetchError::Setting { name: "SSL_CERT_FILE".to_owned(), reason };
    let pem = fs::read(path).map_err(|e| wrong(format!("cannot read {}: {e}", text::path(path))))?;
    let mut certificates = Vec::new();
    for item in ureq::tls::parse_pem(&pem) {
        match item {
            Ok(PemItem::Certificate(certificate)) => certificates.push(certificate),
            Ok(_) => {}
            Err(_) => return Err(wrong(format!("{} is no PEM file", text::path(path)))),
        }
    }
    if certificates.is_empty() {
        return Err(wrong(format!("{} holds no certificate", text::path(path))));
    }
    Ok(RootCerts::from(certificates))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_environment_is_read_as_others_read_it() {
        let settings = |variables: &'static [(&str, &str)]| {
            Settings::from_variables(&|name| {
                variables.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned())
            })
        };
        assert!(!settings(&[]).offline && settings(&[]).proxy.is_none());
        assert!(settings(&[("LUNGFISH_OFFLINE", "1")]).offline);
        assert!(!settings(&[("LUNGFISH_OFFLINE", "0")]).offline);
        let set = settings(&[("ALL_PROXY", "http://all"), ("HTTPS_PROXY", "http://big"), ("NO_PROXY", "a,b")]);
        assert_eq!(set.proxy, Some(Secret::new("http://big")));
        assert_eq!(set.no_proxy, "a,b");
        assert_eq!(settings(&[("ALL_PROXY", "http://all")]).proxy, Some(Secret::new("http://all")));
        let set = settings(&[("https_proxy", "http://ada:s3cret@small"), ("HTTPS_PROXY", "http://big")]);
        assert_eq!(set.proxy, Some(Secret::new("http://ada:s3cret@small")));
        assert!(!format!("{set:?} {:?}", Client::new(set.clone()).unwrap()).contains("s3cret"));
    }

    #[test]
    fn certificates_that_are_none_are_named() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("ca.pem");
        let client = || Client::new(Settings { certificates: Some(file.clone()), ..Settings::default() });
        let said = client().unwrap_err().to_string();
        assert!(said.starts_with("SSL_CERT_FILE: cannot read ") && said.contains("ca.pem"), "{said}");
        fs::write(&file, "nothing").unwrap();
        assert!(client().unwrap_err().to_string().ends_with("ca.pem holds no certificate"));
    }

    #[test]
    fn an_address_in_a_message_has_no_user() {
        assert_eq!(without_user("http://ada:s3cret@h.example/x"), "http://h.example/x");
        assert_eq!(without_user("/x"), "/x");
    }
}
