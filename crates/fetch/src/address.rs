//! Where something is fetched from: which addresses are allowed, which belong together, how they are shown.

use ureq::http::Uri;

/// An address that may be asked: HTTPS, or HTTP on this machine, without a user name in it.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Address {
    uri: Uri,
}

impl Address {
    /// # Errors
    /// What is wrong with it, without quoting it: a wrong address may hold a secret.
    pub(crate) fn parse(text: &str) -> Result<Self, &'static str> {
        let text = text.split('#').next().unwrap_or_default();
        let uri: Uri = text.parse().map_err(|_| "this is no address")?;
        let authority = uri.authority().ok_or("this is no whole address, as https://host/path")?;
        if authority.as_str().contains('@') {
            return Err("an address must not hold a user name or a password");
        }
        if authority.host().is_empty() {
            return Err("this address has no host");
        }
        let address = Address { uri };
        match address.uri.scheme_str() {
            Some("https") => Ok(address),
            Some("http") if address.is_loopback() => Ok(address),
            Some("http") => Err("only HTTPS is used (HTTP on this machine itself)"),
            _ => Err("only HTTPS is used"),
        }
    }

    /// The address that a `Location` header in the answer of this one means (RFC 3986, section 5.2, without the
    /// removal of dot segments, which servers do as well).
    pub(crate) fn join(&self, location: &str) -> Result<Self, &'static str> {
        let scheme = self.uri.scheme_str().unwrap_or("https");
        let authority = self.uri.authority().map(|a| a.as_str()).unwrap_or_default();
        let location = location.trim();
        let before_path = location.split(['/', '?', '#']).next().unwrap_or_default();
        let whole = if before_path.contains(':') {
            location.to_owned()
        } else if location.starts_with("//") {
            format!("{scheme}:{location}")
        } else if location.starts_with('/') {
            format!("{scheme}://{authority}{location}")
        } else {
            let folder = self.uri.path().rsplit_once('/').map_or("", |(folder, _)| folder);
            format!("{scheme}://{authority}{folder}/{location}")
        };
        let next = Self::parse(&whole)?;
        if self.is_https() && !next.is_https() {
            return Err("an encrypted connection would go on without encryption");
        }
        Ok(next)
    }

    pub(crate) fn uri(&self) -> &Uri {
        &self.uri
    }

    pub(crate) fn is_https(&self) -> bool {
        self.uri.scheme_str() == Some("https")
    }

    /// In small letters, without the brackets of IPv6.
    pub(crate) fn host(&self) -> String {
        let host = self.uri.host().unwrap_or_default().to_ascii_lowercase();
        host.trim_start_matches('[').trim_end_matches(']').trim_end_matches('.').to_owned()
    }

    pub(crate) fn port(&self) -> u16 {
        self.uri.port_u16().unwrap_or(if self.is_https() { 443 } else { 80 })
    }

    /// Whether it is this machine: `localhost` (RFC 6761), 127.0.0.0/8 or ::1.
    pub(crate) fn is_loopback(&self) -> bool {
        let host = self.host();
        host == "localhost" || host.parse::<std::net::IpAddr>().is_ok_and(|ip| ip.is_loopback())
    }

    /// Whether two addresses are of the same scheme, host and port: only then may one see the other's credentials.
    pub(crate) fn same_origin(&self, other: &Self) -> bool {
        self.is_https() == other.is_https() && self.host() == other.host() && self.port() == other.port()
    }

    pub(crate) fn path(&self) -> &str {
        self.uri.path()
    }
}

/// Without the query, which in a signed address is a key.
impl std::fmt::Display for Address {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let authority = self.uri.authority().map(|a| a.as_str()).unwrap_or_default();
        write!(f, "{}://{authority}{}", self.uri.scheme_str().unwrap_or("https"), self.uri.path())
    }
}

impl std::fmt::Debug for Address {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Address({self})")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_https_or_this_machine() {
        for good in [
            "https://www.kaggle.com/api/v1",
            "http://127.0.0.1:8080/x",
            "http://localhost/x",
            "http://[::1]:9/x",
            "http://127.9.9.9/",
            "https://HOST.example",
        ] {
            assert!(Address::parse(good).is_ok(), "{good}");
        }
        for bad in [
            "http://www.kaggle.com/",
            "http://127.0.0.1.example.com/",
            "http://localhost.example.com/",
            "http://10.0.0.1/",
            "ftp://localhost/x",
            "file:///etc/passwd",
            "https://user:secret@www.kaggle.com/",
            "http://localhost@evil.example/",
            "/only/a/path",
            "www.kaggle.com",
            "",
            "https://a b/",
        ] {
            let reason = Address::parse(bad).expect_err(bad);
            assert!(!reason.contains("secret"));
        }
    }

    #[test]
    fn redirects_are_resolved_and_never_lose_encryption() {
        let base = Address::parse("https://h.example:444/a/b?key=1").unwrap();
        let to = |location: &str| base.join(location).map(|a| a.uri().to_string());
        assert_eq!(to("https://o.example/x?s=1#f").unwrap(), "https://o.example/x?s=1");
        assert_eq!(to("//o.example/x").unwrap(), "https://o.example/x");
        assert_eq!(to("/x?y").unwrap(), "https://h.example:444/x?y");
        assert_eq!(to("c/d").unwrap(), "https://h.example:444/a/c/d");
        assert_eq!(to("/x?u=https://q").unwrap(), "https://h.example:444/x?u=https://q");
        for bad in
            ["http://o.example/x", "http://localhost/x", "file:///etc/passwd", "javascript:alert(1)", "gopher://x/"]
        {
            assert!(to(bad).is_err(), "{bad}");
        }
        let local = Address::parse("http://localhost:1/").unwrap();
        assert!(local.join("http://127.0.0.1:2/").is_ok() && local.join("https://o.example/").is_ok());
        assert!(local.join("http://o.example/").is_err());
    }

    #[test]
    fn origins() {
        let origin = |a: &str, b: &str| Address::parse(a).unwrap().same_origin(&Address::parse(b).unwrap());
        assert!(origin("https://h.example/a", "https://H.example:443/b"));
        assert!(!origin("https://h.example/a", "https://h.example:8443/a"));
        assert!(!origin("http://localhost:1/a", "http://127.0.0.1:1/a"));
        assert!(!origin("https://localhost:80/a", "http://localhost:80/a"));
        assert!(!origin("https://kaggle.com/", "https://kaggle.com.evil.example/"));
    }

    #[test]
    fn queries_are_never_shown() {
        let address = Address::parse("https://storage.example/x?X-Goog-Signature=abc").unwrap();
        assert_eq!(format!("{address} {address:?}"), "https://storage.example/x Address(https://storage.example/x)");
    }
}
