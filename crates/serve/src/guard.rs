//! Who may ask: programs and the page of this machine, and of others whoever has the token.
//!
//! A page of somebody else in the same browser may send requests here, and a name of theirs may lead to this machine (DNS rebinding):
//! so the `Host` has to be one of ours, and an `Origin` too, and no answer may be read across origins, since none is allowed to.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Instant;

use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

use crate::problem::Problem;
use crate::{App, ServeError};

/// Bytes of a token.
const TOKEN: usize = 24;
/// What is sent to be looked at; all else that is not merely read changes something.
const LOOKS: [&str; 3] = ["/api/predict", "/api/explain", "/api/neighbours"];

/// What is put beside every answer: nothing but our own files may be loaded, by nobody but ourselves.
const HEADERS: [(&str, &str); 6] = [
    (
        "content-security-policy",
        "default-src 'self'; img-src 'self' data: blob:; object-src 'none'; base-uri 'none'; frame-ancestors 'none'; form-action 'none'",
    ),
    ("x-content-type-options", "nosniff"),
    ("referrer-policy", "no-referrer"),
    ("cross-origin-opener-policy", "same-origin"),
    ("cross-origin-resource-policy", "same-origin"),
    ("cache-control", "no-store"),
];

/// Names that are ours, and the token where one is wanted.
pub(crate) struct Guard {
    /// `host:port` as a browser sends it; none where every name is taken, since the token guards.
    hosts: Option<Vec<String>>,
    address: SocketAddr,
    token: Option<String>,
    /// Whether only what changes something wants it: on this machine.
    for_changes: bool,
}

impl Guard {
    /// Of an address that is bound; `changes` is whether something can be changed through it.
    pub(crate) fn new(address: SocketAddr, changes: bool) -> Result<Self, ServeError> {
        let here = address.ip().is_loopback();
        let token = if here && !changes { None } else { Some(token()?) };
        if here {
            let names = ["localhost".to_owned(), "127.0.0.1".to_owned(), "[::1]".to_owned(), host(address)];
            let mut hosts: Vec<String> = names.iter().map(|name| format!("{name}:{}", address.port())).collect();
            if address.port() == 80 {
                hosts.extend(names);
            }
            return Ok(Guard { hosts: Some(hosts), address, token, for_changes: true });
        }
        Ok(Guard { hosts: None, address, token, for_changes: false })
    }

    /// The address of the page.
    pub(crate) fn url(&self) -> String {
        let ip = self.address.ip();
        // Where it listens everywhere, this machine is one place of them.
        let host = if ip.is_unspecified() { "127.0.0.1".to_owned() } else { host(self.address) };
        let fragment = self.token.as_ref().map(|token| format!("#token={token}")).unwrap_or_default();
        format!("http://{host}:{}/{fragment}", self.address.port())
    }

    fn allows(&self, method: &Method, path: &str, headers: &HeaderMap) -> Result<(), Problem> {
        let text = |name: HeaderName| headers.get(name).map(|value| value.to_str().unwrap_or("?").to_owned());
        let host = text(header::HOST).ok_or_else(|| Problem::bad("a request says which host it is for"))?;
        if let Some(hosts) = &self.hosts
            && !hosts.iter().any(|ours| host.eq_ignore_ascii_case(ours))
        {
            return Err(Problem::foreign("this server answers to the names of this machine alone"));
        }
        let origin = text(header::ORIGIN);
        let is_ours =
            |origin: &String| origin.strip_prefix("http://").is_some_and(|name| name.eq_ignore_ascii_case(&host));
        let site = text(HeaderName::from_static("sec-fetch-site"));
        let across = site.is_some_and(|site| site == "cross-site" || site == "same-site");
        if origin.is_some_and(|origin| !is_ours(&origin)) || across && path.starts_with("/api/") {
            return Err(Problem::foreign("this server answers its own page and programs, not pages of others"));
        }
        let Some(token) = &self.token else { return Ok(()) };
        // The page itself tells nothing, and asks with the token.
        if !(path.starts_with("/api/") || path == "/metrics") {
            return Ok(());
        }
        let changes = !LOOKS.contains(&path) && *method != Method::GET && *method != Method::HEAD;
        if self.for_changes && !changes {
            return Ok(());
        }
        let given = text(header::AUTHORIZATION).unwrap_or_default();
        let given = given.strip_prefix("Bearer ").unwrap_or_default();
        if is_same(given.trim().as_bytes(), token.as_bytes()) { Ok(()) } else { Err(Problem::no_token()) }
    }
}

/// A new one.
fn token() -> Result<String, ServeError> {
    let mut bytes = [0; TOKEN];
    getrandom::fill(&mut bytes).map_err(|e| ServeError::Start(format!("there are no random numbers: {e}")))?;
    Ok(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
}

/// Whether they are the same, in a time that does not tell where they differ.
fn is_same(given: &[u8], token: &[u8]) -> bool {
    given.len() == token.len() && given.iter().zip(token).fold(0, |differs, (a, b)| differs | (a ^ b)) == 0
}

fn host(address: SocketAddr) -> String {
    match address {
        SocketAddr::V4(v4) => v4.ip().to_string(),
        SocketAddr::V6(v6) => format!("[{}]", v6.ip()),
    }
}

/// Lets a request through or not, and counts it.
pub(crate) async fn check(State(app): State<Arc<App>>, request: Request, next: Next) -> Response {
    let begun = Instant::now();
    let path = request.uri().path().to_owned();
    let mut response = match app.guard.allows(request.method(), &path, request.headers()) {
        Ok(()) => next.run(request).await,
        Err(problem) => problem.into_response(),
    };
    for (name, value) in HEADERS {
        response.headers_mut().entry(HeaderName::from_static(name)).or_insert(HeaderValue::from_static(value));
    }
    app.counts.answered(&path, response.status(), begun.elapsed());
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
        pairs.iter().map(|(name, value)| (HeaderName::from_static(name), value.parse().unwrap())).collect()
    }

    #[test]
    fn a_page_of_somebody_else_is_not_answered() {
        let guard = Guard::new("127.0.0.1:8090".parse().unwrap(), false).unwrap();
        assert_eq!((guard.url().as_str(), &guard.token), ("http://127.0.0.1:8090/", &None));
        let allows =
            |pairs: &[(&'static str, &str)]| guard.allows(&Method::POST, "/api/predict", &headers(pairs)).is_ok();
        assert!(allows(&[("host", "127.0.0.1:8090")]) && allows(&[("host", "LocalHost:8090")]));
        assert!(allows(&[("host", "localhost:8090"), ("origin", "http://localhost:8090")]));
        for pairs in [
            &[][..],
            &[("host", "evil.example:8090")],
            &[("host", "localhost")],
            &[("host", "localhost:8091")],
            &[("host", "localhost:8090"), ("origin", "http://evil.example")],
            &[("host", "localhost:8090"), ("origin", "https://localhost:8090")],
            &[("host", "localhost:8090"), ("origin", "null")],
            &[("host", "localhost:8090"), ("origin", "http://localhost:8091")],
            &[("host", "localhost:8090"), ("sec-fetch-site", "cross-site")],
        ] {
            assert!(!allows(pairs), "{pairs:?}");
        }
        // Somebody may follow a link to the page.
        assert!(
            guard
                .allows(&Method::GET, "/", &headers(&[("host", "localhost:8090"), ("sec-fetch-site", "cross-site")]))
                .is_ok()
        );
    }

    #[test]
    fn other_machines_need_the_token() {
        let guard = Guard::new("0.0.0.0:8090".parse().unwrap(), false).unwrap();
        let token = guard.token.clone().unwrap();
        assert_eq!(token.len(), 2 * TOKEN);
        assert_eq!(guard.url(), format!("http://127.0.0.1:8090/#token={token}"));
        let asks = |path: &str, given: &str| {
            guard.allows(&Method::GET, path, &headers(&[("host", "10.0.0.3:8090"), ("authorization", given)])).is_ok()
        };
        assert!(asks("/api/models", &format!("Bearer {token}")) && asks("/", "") && asks("/style.css", ""));
        for given in ["", "Bearer ", &token, &format!("Bearer {token}0"), &format!("Bearer {}", &token[1..])] {
            assert!(!asks("/api/models", given) && !asks("/metrics", given), "{given}");
        }
        assert_ne!(Guard::new("0.0.0.0:8090".parse().unwrap(), false).unwrap().token, Some(token));
    }

    #[test]
    fn what_changes_something_wants_the_token_here_too() {
        let guard = Guard::new("127.0.0.1:8090".parse().unwrap(), true).unwrap();
        let token = guard.token.clone().unwrap();
        assert_eq!(guard.url(), format!("http://127.0.0.1:8090/#token={token}"));
        let asks = |method: Method, path: &str, given: &str| {
            guard.allows(&method, path, &headers(&[("host", "127.0.0.1:8090"), ("authorization", given)])).is_ok()
        };
        let bearer = format!("Bearer {token}");
        assert!(asks(Method::POST, "/api/predict", "") && asks(Method::GET, "/api/teach", ""));
        assert!(asks(Method::POST, "/api/neighbours", "") && asks(Method::GET, "/api/data/films/3", ""));
        for (method, path) in [
            (Method::POST, "/api/corrections"),
            (Method::POST, "/api/teach"),
            (Method::DELETE, "/api/teach"),
            (Method::POST, "/api/data/films"),
            (Method::DELETE, "/api/data/films/3"),
        ] {
            assert!(!asks(method.clone(), path, "") && asks(method, path, &bearer), "{path}");
        }
    }
}
