//! Which proxy a request goes through, as `HTTPS_PROXY`, `ALL_PROXY` and `NO_PROXY` say it.

use crate::FetchError;
use crate::address::Address;

/// A proxy for everything but the hosts that `NO_PROXY` names and this machine itself.
pub(crate) struct Proxy {
    pub proxy: ureq::Proxy,
    except: Except,
}

impl Proxy {
    /// `text` is `[http://][user:password@]host[:port]`; `name` is the variable that held it.
    pub(crate) fn parse(name: &str, text: &str, no_proxy: &str) -> Result<Self, FetchError> {
        let wrong = |reason: &str| FetchError::Setting { name: name.to_owned(), reason: reason.to_owned() };
        // The text may hold a password, so it is not quoted.
        let proxy = ureq::Proxy::new(text).map_err(|_| wrong("this is no address of a proxy, as http://host:port"))?;
        match proxy.protocol() {
            ureq::ProxyProtocol::Http | ureq::ProxyProtocol::Https => {}
            _ => return Err(wrong("only http:// and https:// proxies can be used, not SOCKS")),
        }
        Ok(Proxy { proxy, except: Except::parse(no_proxy) })
    }

    /// Whether a request to `address` goes through it.
    pub(crate) fn is_for(&self, address: &Address) -> bool {
        !address.is_loopback() && !self.except.holds(&address.host(), address.port())
    }

    /// `host:port`, for messages.
    pub(crate) fn shown(&self) -> String {
        let host = self.proxy.uri().host().unwrap_or_default();
        format!("{host}:{}", self.proxy.port())
    }
}

/// The hosts of `NO_PROXY`, as curl reads it: names with their subdomains, addresses, `*`, each with a port or without.
struct Except(Vec<(String, Option<u16>)>);

impl Except {
    fn parse(text: &str) -> Self {
        let entry = |entry: &str| {
            let (host, port) = match entry.rsplit_once(':') {
                Some((host, port)) if !host.contains(':') || host.ends_with(']') => (host, port.parse().ok()),
                _ => (entry, None),
            };
            let host = host.trim_start_matches('[').trim_end_matches(']');
            let host = host.strip_prefix("*.").or(host.strip_prefix('.')).unwrap_or(host);
            (host.trim_end_matches('.').to_ascii_lowercase(), port)
        };
        Except(text.split([',', ' ']).map(str::trim).filter(|part| !part.is_empty()).map(entry).collect())
    }

    fn holds(&self, host: &str, port: u16) -> bool {
        self.0.iter().any(|(name, only)| {
            let named =
                name == "*" || host == name || host.strip_suffix(name.as_str()).is_some_and(|rest| rest.ends_with('.'));
            named && only.is_none_or(|only| only == port)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_that_need_no_proxy() {
        let holds = |list: &str, host: &str| Except::parse(list).holds(host, 443);
        for (list, host) in [
            ("kaggle.com", "kaggle.com"),
            ("a.example, kaggle.com", "www.kaggle.com"),
            (".kaggle.com", "www.kaggle.com"),
            ("*.Kaggle.com", "www.kaggle.com"),
            ("*", "anything.example"),
            ("kaggle.com:443", "kaggle.com"),
            ("10.0.0.1", "10.0.0.1"),
            ("[fd00::1]:443 fd00::2", "fd00::1"),
            ("[fd00::1]:443 fd00::2", "fd00::2"),
        ] {
            assert!(holds(list, host), "{list} {host}");
        }
        for (list, host) in [
            ("", "a"),
            ("kaggle.com", "notkaggle.com"),
            ("kaggle.com:80", "kaggle.com"),
            ("www.kaggle.com", "kaggle.com"),
        ] {
            assert!(!holds(list, host), "{list} {host}");
        }
    }

    #[test]
    fn this_machine_is_asked_directly() {
        let proxy = Proxy::parse("HTTPS_PROXY", "http://proxy.example:3128", "").unwrap();
        assert!(proxy.is_for(&Address::parse("https://www.kaggle.com/").unwrap()));
        assert!(!proxy.is_for(&Address::parse("http://localhost:8080/").unwrap()));
        assert_eq!(proxy.shown(), "proxy.example:3128");
    }

    #[test]
    fn a_wrong_proxy_is_named_without_its_password() {
        for text in ["http://ada:s3cret@", "socks5://ada:s3cret@host:1080", "ht tp://s3cret"] {
            let error = Proxy::parse("HTTPS_PROXY", text, "").err().unwrap();
            assert!(error.to_string().starts_with("HTTPS_PROXY: "), "{error}");
            assert!(!format!("{error} {error:?}").contains("s3cret"));
        }
    }
}
