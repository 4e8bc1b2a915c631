//! HTTPS through a proxy: a CONNECT proxy on loopback that answers for every host, with certificates of the tests' own.

mod common;

use std::io::{BufReader, Write};
use std::net::TcpListener;
use std::path::Path;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex};

use common::zips::{Entry, zip};
use common::{Place, Reply, Seen, md5_header, notes, read_head, send, settings};
use lungfish_fetch::kaggle::{DataSet, Identity, Kaggle};
use lungfish_fetch::{Client, Credentials, Secret, Settings};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};

const TLS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/tls");

/// What a proxy was asked: the CONNECT, and what came through the tunnel.
type Asked = Arc<Mutex<Vec<(Seen, Option<Seen>)>>>;

/// A proxy that answers in the place of every host.
fn proxy(reply: impl Fn(&Seen) -> Reply + Send + Sync + 'static) -> (u16, Asked) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let (port, asked) = (listener.local_addr().unwrap().port(), Asked::default());
    let noted = Arc::clone(&asked);
    let certificates = vec![CertificateDer::from_pem_file(format!("{TLS}/server.pem")).unwrap()];
    let key = PrivateKeyDer::from_pem_file(format!("{TLS}/server.key")).unwrap();
    let config = rustls::ServerConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(certificates, key)
        .unwrap();
    let config = Arc::new(config);
    std::thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            // One byte at a time, so that none of what follows the head is taken with it.
            let connect = read_head(&mut BufReader::with_capacity(1, stream.try_clone().unwrap())).unwrap();
            if connect.path.starts_with("refused.invalid") {
                stream.write_all(b"HTTP/1.1 407 Proxy Authentication Required\r\n\r\n").unwrap();
                noted.lock().unwrap().push((connect, None));
                continue;
            }
            stream.write_all(b"HTTP/1.1 200 Connected\r\n\r\n").unwrap();
            let tls = rustls::ServerConnection::new(Arc::clone(&config)).unwrap();
            let mut reader = BufReader::new(rustls::StreamOwned::new(tls, stream));
            let seen = read_head(&mut reader);
            noted.lock().unwrap().push((connect, seen.clone()));
            if let Some(seen) = seen {
                let mut stream = reader.into_inner();
                send(&mut stream, &reply(&seen));
                stream.conn.send_close_notify();
                let _ = stream.flush();
            }
        }
    });
    (port, asked)
}

fn through(port: u16, no_proxy: &str) -> Settings {
    let mut settings = settings();
    settings.proxy = Some(Secret::new(format!("http://ada:pr0xy@127.0.0.1:{port}")));
    settings.no_proxy = no_proxy.to_owned();
    settings.certificates = Some(Path::new(TLS).join("ca.pem"));
    settings.attempts = 1;
    settings
}

#[test]
fn kaggle_is_reached_through_a_proxy_and_encrypted() {
    let archive = zip(&[Entry::file("train/NORMAL/a.txt", "film")]);
    let (port, asked) = proxy(move |_| Reply::new(200, archive.clone()).header("x-goog-hash", md5_header(&archive)));
    let credentials = Credentials::bearer("t0ken", "a test").unwrap();
    let client = Client::new(through(port, "")).unwrap();
    let kaggle = Kaggle::new(client, None, Identity::Given(Some(credentials))).unwrap();
    let dir = tempfile::tempdir().unwrap();
    let (out, mut events) = (dir.path().join("films"), vec![]);
    let stop = AtomicBool::new(false);
    kaggle.fetch(&DataSet::pneumonia(), &out, &mut |event| events.push(event.clone()), &stop).unwrap();
    assert_eq!(std::fs::read(out.join("train/NORMAL/a.txt")).unwrap(), b"film");

    let asked = asked.lock().unwrap();
    let [(connect, Some(seen))] = &asked[..] else { panic!("{asked:?}") };
    assert_eq!((connect.method.as_str(), connect.path.as_str()), ("CONNECT", "www.kaggle.com:443"));
    // The proxy gets its own password and not Kaggle's; Kaggle gets Kaggle's.
    assert_eq!(connect.header("proxy-authorization"), Some("Basic YWRhOnByMHh5"));
    assert_eq!((connect.header("authorization"), seen.header("proxy-authorization")), (None, None));
    assert_eq!(seen.header("authorization"), Some("Bearer t0ken"));
    assert_eq!(seen.path, "/api/v1/datasets/download/paultimothymooney/chest-xray-pneumonia");
    assert!(!format!("{events:?} {kaggle:?}").contains("t0ken") && !notes(&events).contains("pr0xy"));
}

#[test]
fn hosts_of_no_proxy_are_asked_directly() {
    let (port, asked) = proxy(|_| Reply::new(200, "film"));
    let fetch = |no_proxy: &str| {
        let mut place = Place::new();
        place.fetch_with(&Client::new(through(port, no_proxy)).unwrap(), "https://nowhere.invalid/x").map(|_| ())
    };
    fetch("").unwrap();
    fetch("kaggle.com").unwrap();
    assert_eq!(asked.lock().unwrap().len(), 2);
    // A name that no network knows (RFC 2606): only the proxy could have answered.
    for direct in ["nowhere.invalid", "a.example,.invalid", "*"] {
        let said = fetch(direct).unwrap_err().to_string();
        assert!(said.contains("cannot fetch https://nowhere.invalid/x: nowhere.invalid"), "{said}");
    }
    assert_eq!(asked.lock().unwrap().len(), 2);
}

#[test]
fn a_proxy_that_refuses_is_named_without_its_password() {
    let (port, asked) = proxy(|_| Reply::new(200, "film"));
    let client = Client::new(through(port, "")).unwrap();
    let error = Place::new().fetch_with(&client, "https://refused.invalid/x").unwrap_err();
    let said = error.to_string();
    assert!(said.contains(&format!("the proxy 127.0.0.1:{port}: ")) && said.contains("407"), "{said}");
    assert!(!format!("{said} {error:?} {client:?}").contains("pr0xy"));
    assert_eq!(asked.lock().unwrap()[0].0.path, "refused.invalid:443");
}

#[test]
fn a_certificate_that_nobody_vouches_for_is_refused_at_once() {
    let (port, asked) = proxy(|_| Reply::new(200, "film"));
    let mut settings = through(port, "");
    (settings.certificates, settings.attempts) = (None, 5);
    let said = Place::new().fetch_with(&Client::new(settings).unwrap(), "https://nowhere.invalid/x").unwrap_err();
    let said = said.to_string();
    assert!(said.contains("the encrypted connection was refused") && said.contains("SSL_CERT_FILE"), "{said}");
    let asked = asked.lock().unwrap();
    assert!(asked.len() == 1 && asked[0].1.is_none(), "nothing was said to it, once: {asked:?}");
    // Nor is one for another host.
    let client = Client::new(through(port, "")).unwrap();
    let said = Place::new().fetch_with(&client, "https://storage.example/x").unwrap_err().to_string();
    assert!(said.contains("the encrypted connection was refused"), "{said}");
}
