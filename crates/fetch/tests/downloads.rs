//! Downloads from a server that does all that servers do.

mod common;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use common::*;
use lungfish_fetch::{Client, Credentials, Event, FetchError, Job, Request, download};

#[test]
fn a_file_comes_whole_and_is_not_fetched_twice() {
    let file = bytes(300_000, 1);
    let (served, mut place) = (file.clone(), Place::new());
    let server = Server::new(move |seen, _| storage(seen, &served, "\"a\""));
    place.sha256 = Some(sha256(&file)[..8].to_owned());
    let done = place.fetch(&server.url("/film.bin")).unwrap();
    assert_eq!((done.bytes, done.fetched), (300_000, true));
    assert_eq!(std::fs::read(place.target()).unwrap(), file);
    assert_eq!(place.left(), ["film.bin"]);
    let last = place.events.iter().rev().find(|event| matches!(event, Event::Progress { .. }));
    assert_eq!(last, Some(&Event::Progress { job: Job::Downloading, done: 300_000, total: Some(300_000) }));

    let again = place.fetch(&server.url("/film.bin")).unwrap();
    assert_eq!((again.bytes, again.fetched), (300_000, false));
    assert_eq!(server.seen().len(), 1);

    // What is there and wrong is fetched again.
    std::fs::write(place.target(), "half a file").unwrap();
    assert!(place.fetch(&server.url("/film.bin")).unwrap().fetched);
    assert!(place.notes().contains("should begin with"), "{}", place.notes());
    assert_eq!(std::fs::read(place.target()).unwrap(), file);
}

#[test]
fn credentials_stay_with_the_host_that_was_asked() {
    let storage_server = Arc::new(Server::new(|seen, _| storage(seen, b"film", "\"a\"")));
    let elsewhere = Arc::clone(&storage_server);
    let server = Server::new(move |seen, _| match seen.path.as_str() {
        "/same" => Reply::redirect("/again"),
        "/again" => Reply::redirect(elsewhere.url("/other-port?X-Goog-Signature=s3cret")),
        "/name" => Reply::redirect(format!(
            "http://localhost:{}/direct",
            seen.header("host").unwrap().rsplit(':').next().unwrap()
        )),
        "/back" => Reply::redirect(format!(
            "http://localhost:{}/home",
            seen.header("host").unwrap().rsplit(':').next().unwrap()
        )),
        "/home" => Reply::redirect(format!(
            "http://127.0.0.1:{}/direct",
            seen.header("host").unwrap().rsplit(':').next().unwrap()
        )),
        _ => storage(seen, b"film", "\"a\""),
    });
    let fetch = |path: &str| {
        let mut place = Place::new();
        place.credentials = Some(Credentials::basic("ada", "s3cret", "a test").unwrap());
        place.fetch(&server.url(path)).unwrap();
    };
    let authorised = |server: &Server| -> Vec<(String, bool)> {
        server.seen().iter().map(|seen| (seen.path.clone(), seen.header("authorization").is_some())).collect()
    };
    fetch("/same");
    assert_eq!(authorised(&server), [("/same".to_owned(), true), ("/again".to_owned(), true)]);
    assert_eq!(server.seen()[0].header("authorization"), Some("Basic YWRhOnMzY3JldA=="));
    let other = storage_server.seen();
    assert_eq!(other.len(), 1);
    assert!(other[0].path.starts_with("/other-port?"));
    assert!(!format!("{:?}", other[0].headers).contains("YWRh"), "{other:?}");

    fetch("/name");
    assert_eq!(authorised(&server)[2..], [("/name".to_owned(), true), ("/direct".to_owned(), false)]);
    // A host that was led to cannot lead back to have them sent again.
    fetch("/back");
    assert_eq!(
        authorised(&server)[4..],
        [("/back".to_owned(), true), ("/home".to_owned(), false), ("/direct".to_owned(), false)]
    );
}

#[test]
fn a_cut_download_goes_on_where_it_was() {
    let file = bytes(500_000, 2);
    let (served, mut place) = (file.clone(), Place::new());
    let server = Server::new(move |seen, before| {
        let reply = storage(seen, &served, "\"v1\"");
        if before < 2 { reply.cut(100_000) } else { reply }
    });
    place.fetch(&server.url("/x")).unwrap();
    assert_eq!(std::fs::read(place.target()).unwrap(), file);
    assert_eq!(server.ranges(), [None, Some("bytes=100000-".into()), Some("bytes=200000-".into())]);
    assert_eq!(server.seen()[1].header("if-range"), Some("\"v1\""));
    assert!(place.notes().contains("the connection was cut"), "{}", place.notes());
    assert_eq!(place.left(), ["film.bin"]);
}

#[test]
fn a_server_that_cannot_go_on_begins_anew() {
    let file = bytes(200_000, 3);
    let (served, mut place) = (file.clone(), Place::new());
    let server = Server::new(move |_, before| {
        let reply = Reply::new(200, served.clone()).header("ETag", "\"a\"");
        if before == 0 { reply.cut(70_000) } else { reply }
    });
    place.fetch(&server.url("/x")).unwrap();
    assert_eq!(std::fs::read(place.target()).unwrap(), file);
    assert_eq!(server.ranges(), [None, Some("bytes=70000-".into())]);
    assert!(place.notes().contains("from its beginning"), "{}", place.notes());
}

#[test]
fn bytes_of_two_files_are_never_mixed() {
    let (old, new) = (bytes(200_000, 4), bytes(210_000, 5));
    // The first server heeds If-Range; the second sends the new file's middle all the same; the third has no ETag and
    // tells by its hash; the fourth's new file has the length of the old one; the fifth has no hash besides.
    for kind in 0..5 {
        let (old, new) = (old.clone(), if kind > 2 { bytes(200_000, 5) } else { new.clone() });
        let want = new.clone();
        let server = Server::new(move |seen, before| {
            let mut seen = seen.clone();
            if kind > 0 {
                seen.headers.retain(|(name, _)| name != "if-range");
            }
            let (file, etag) = if before == 0 { (&old, "\"old\"") } else { (&new, "\"new\"") };
            let mut reply = storage(&seen, file, etag);
            if kind == 2 {
                reply.headers.retain(|(name, _)| name != "ETag");
            }
            if kind == 4 {
                reply.headers.retain(|(name, _)| name != "x-goog-hash");
            }
            if before == 0 { reply.cut(60_000) } else { reply }
        });
        let mut place = Place::new();
        place.fetch(&server.url("/x")).unwrap();
        assert_eq!(std::fs::read(place.target()).unwrap(), want, "kind {kind}");
        assert_eq!(server.ranges()[1], Some("bytes=60000-".into()));
        assert_eq!(server.seen().len(), if kind == 0 { 2 } else { 3 }, "kind {kind}");
    }
}

#[test]
fn without_anything_to_tell_files_apart_it_begins_anew() {
    let file = bytes(100_000, 6);
    let (served, mut place) = (file.clone(), Place::new());
    let server = Server::new(move |_, before| {
        let reply = Reply::new(200, served.clone()).header("ETag", "W/\"weak\"");
        if before == 0 { reply.cut(50_000) } else { reply }
    });
    place.fetch(&server.url("/x")).unwrap();
    assert_eq!(server.ranges(), [None, None]);
    assert_eq!(std::fs::read(place.target()).unwrap(), file);
}

#[test]
fn a_length_that_is_too_long_is_not_believed() {
    let file = bytes(50_000, 7);
    let server = Server::new(move |seen, _| {
        let mut seen = seen.clone();
        seen.headers.retain(|(name, _)| name != "range");
        storage(&seen, &file, "\"a\"").length(60_000)
    });
    let mut place = Place::new();
    let said = place.fetch(&server.url("/x")).unwrap_err().to_string();
    assert!(said.contains("the connection was cut") && said.contains("(given up after 5 attempts)"), "{said}");
    assert!(said.contains("50.0 kB are kept"), "{said}");
    assert_eq!(server.seen().len(), 5);
    assert!(!place.target().exists());
}

#[test]
fn a_length_that_is_too_short_is_noticed_by_the_checksum() {
    let file = bytes(50_000, 8);
    let server = Server::new(move |seen, _| storage(seen, &file, "\"a\"").length(40_000));
    let mut place = Place::new();
    let error = place.fetch(&server.url("/x")).unwrap_err();
    assert!(matches!(error, FetchError::Checksum { kind: "MD5", .. }), "{error}");
    assert_eq!(place.left(), [""; 0]);
}

#[test]
fn wrong_bytes_are_not_kept() {
    let hashes = [md5_header(b"another file"), "crc32c=AAAAAA==".to_owned()];
    for (hash, kind) in hashes.into_iter().zip(["MD5", "CRC-32C"]) {
        let server = Server::new(move |_, _| Reply::new(200, bytes(1000, 9)).header("x-goog-hash", hash.clone()));
        let mut place = Place::new();
        let error = place.fetch(&server.url("/x")).unwrap_err();
        assert!(matches!(&error, FetchError::Checksum { kind: found, .. } if *found == kind), "{error}");
        assert!(error.to_string().ends_with("nothing of it is kept"), "{error}");
        // Once more, in case that it was chance, and not a third time.
        assert_eq!(server.seen().len(), 2);
        assert_eq!(place.left(), [""; 0]);
    }
    let server = Server::new(|_, _| Reply::new(200, "not the weights"));
    let mut place = Place::new();
    place.sha256 = Some("b627a593".to_owned());
    let error = place.fetch(&server.url("/x")).unwrap_err();
    assert!(matches!(&error, FetchError::Checksum { kind: "SHA-256", expected, .. } if expected == "b627a593"));
    assert_eq!(place.left(), [""; 0]);
}

#[test]
fn a_part_that_went_bad_on_disk_is_noticed_and_fetched_anew() {
    let file = bytes(200_000, 10);
    let (served, mut place) = (file.clone(), Place::new());
    let server = Server::new(move |seen, before| {
        let reply = storage(seen, &served, "\"a\"");
        if before == 0 { reply.cut(90_000) } else { reply }
    });
    let mut once = settings();
    once.attempts = 1;
    place.fetch_with(&Client::new(once).unwrap(), &server.url("/x")).unwrap_err();
    assert_eq!(place.left(), [".film.bin.part", ".film.bin.part.json"]);
    let part = place.folder.path().join(".film.bin.part");
    let mut kept = std::fs::read(&part).unwrap();
    assert_eq!(kept, file[..90_000]);
    kept[5] ^= 1;
    std::fs::write(&part, kept).unwrap();
    place.fetch(&server.url("/x")).unwrap();
    assert_eq!(std::fs::read(place.target()).unwrap(), file);
    assert_eq!(server.ranges(), [None, Some("bytes=90000-".into()), None]);
}

#[test]
fn statuses_that_stay_are_told_once_with_advice() {
    let secret = "k3y-of-ada";
    for status in [400, 401, 403, 404, 410] {
        let server = Server::new(move |seen, _| {
            // A server that sends back what it got.
            let words = format!("no\u{1b}[31m for {} {secret}", seen.header("authorization").unwrap());
            Reply::new(status, serde_json::json!({ "message": words }).to_string())
                .header("Content-Type", "application/json")
        });
        let mut place = Place::new();
        place.credentials = Some(Credentials::bearer(secret, "a test").unwrap());
        let error = place.fetch(&server.url("/x?token=hidden")).unwrap_err();
        let said = error.to_string();
        assert!(said.contains(&format!("/x answered {status}: ")), "{said}");
        assert!(said.contains("it says: no?[31m for Bearer (secret) (secret)"), "{said}");
        assert_eq!(said.contains("accept the terms"), status == 403, "{said}");
        assert_eq!(said.contains("there is no such file"), [404, 410].contains(&status), "{said}");
        assert!(!said.contains(&format!("{status}: {status}")), "{said}");
        let all = format!("{said} {error:?} {:?} {:?}", place.events, place.credentials);
        assert!(!all.contains(secret) && !all.contains("hidden"), "{all}");
        assert_eq!(server.seen().len(), 1);
        assert_eq!(place.left(), [""; 0]);
    }
}

#[test]
fn yesterdays_bytes_outlive_todays_refusal() {
    let file = bytes(200_000, 11);
    let (served, mut place) = (file.clone(), Place::new());
    let server = Server::new(move |seen, before| match before {
        0 => storage(seen, &served, "\"a\"").cut(90_000),
        1 => Reply::new(403, ""),
        _ => storage(seen, &served, "\"a\""),
    });
    assert!(matches!(place.fetch(&server.url("/x")), Err(FetchError::Status { status: 403, .. })));
    place.fetch(&server.url("/x")).unwrap();
    assert_eq!(server.ranges()[2], Some("bytes=90000-".into()));
    assert_eq!(std::fs::read(place.target()).unwrap(), file);
}

#[test]
fn what_fails_in_passing_is_tried_again() {
    for status in [408, 429, 500, 502, 503, 504] {
        let server =
            Server::new(
                move |seen, before| {
                    if before < 2 { Reply::new(status, "later") } else { storage(seen, b"film", "\"a\"") }
                },
            );
        let mut place = Place::new();
        place.fetch(&server.url("/x")).unwrap();
        assert_eq!(server.seen().len(), 3);
        assert!(place.notes().contains(&format!("answered {status} (")), "{}", place.notes());
        assert!(place.notes().contains("trying again in 1 s (attempt 3 of 5)"), "{}", place.notes());
    }
    let server = Server::new(|_, _| Reply::new(503, "<html>"));
    let mut place = Place::new();
    let said = place.fetch(&server.url("/x")).unwrap_err().to_string();
    assert!(said.ends_with("answered 503 (Service Unavailable) (given up after 5 attempts)"), "{said}");
    assert_eq!(server.seen().len(), 5);
    assert_eq!(place.left(), [""; 0]);
}

#[test]
fn each_wait_is_twice_the_last() {
    let server = Server::new(|_, _| Reply::new(503, ""));
    let mut slow = settings();
    slow.first_wait = Duration::from_millis(100);
    let begun = Instant::now();
    Place::new().fetch_with(&Client::new(slow).unwrap(), &server.url("/x")).unwrap_err();
    // 0.1 + 0.2 + 0.4 + 0.8
    assert!(begun.elapsed() >= Duration::from_millis(1500), "{:?}", begun.elapsed());
}

#[test]
fn retry_after_is_heeded() {
    let server = Server::new(|seen, before| match before {
        0 => Reply::new(429, "").header("Retry-After", "1"),
        _ => storage(seen, b"film", "\"a\""),
    });
    let mut place = Place::new();
    let begun = Instant::now();
    place.fetch(&server.url("/x")).unwrap();
    assert!(begun.elapsed() >= Duration::from_secs(1));
    assert!(place.notes().contains("answered 429 (Too Many Requests); trying again in 1 s"), "{}", place.notes());

    let server = Server::new(|_, _| Reply::new(429, "").header("Retry-After", "7200"));
    let mut place = Place::new();
    let said = place.fetch(&server.url("/x")).unwrap_err().to_string();
    assert!(said.ends_with("answered 429 (Too Many Requests) and asks to come back in 120 minutes"), "{said}");
    assert_eq!(server.seen().len(), 1);
}

#[test]
fn stopped_it_keeps_what_came_and_goes_on_later() {
    let file = bytes(3_000_000, 12);
    let served = file.clone();
    let server = Server::new(move |seen, before| {
        let mut reply = storage(seen, &served, "\"a\"");
        if before == 0 {
            reply.pause = Duration::from_secs(20);
        }
        reply
    });
    let folder = tempfile::tempdir().unwrap();
    let target = folder.path().join("film.bin");
    let url = server.url("/x");
    let request =
        Request { address: &url, credentials: None, target: &target, sha256: None, limit: 1 << 30, advice: &|_| None };
    let stop = std::sync::atomic::AtomicBool::new(false);
    let mut patient = settings();
    patient.idle_timeout = Duration::from_secs(60);
    let begun = Instant::now();
    let error = std::thread::scope(|scope| {
        scope.spawn(|| {
            while std::fs::metadata(folder.path().join(".film.bin.part")).map_or(0, |part| part.len()) < 1_500_000 {
                std::thread::sleep(Duration::from_millis(5));
            }
            stop.store(true, Ordering::Relaxed);
        });
        download(&Client::new(patient).unwrap(), &request, &mut |_| {}, &stop).unwrap_err()
    });
    // The server is silent all the while.
    assert!(begun.elapsed() < Duration::from_secs(15), "{:?}", begun.elapsed());
    assert!(matches!(error, FetchError::Stopped { kept: 1_500_000 }), "{error}");
    assert!(error.to_string().contains("1.5 MB are kept, and the same command goes on from there"));
    assert!(!target.exists());

    let mut events = vec![];
    stop.store(false, Ordering::Relaxed);
    download(&client(), &request, &mut |event| events.push(event.clone()), &stop).unwrap();
    assert_eq!(server.ranges(), [None, Some("bytes=1500000-".into())]);
    assert_eq!(std::fs::read(&target).unwrap(), file);
    assert_eq!(notes(&events), "going on from 1.5 MB");
    assert_eq!(names(folder.path()), ["film.bin"]);
}

#[test]
fn a_kill_after_the_last_byte_costs_no_request() {
    let file = bytes(100_000, 13);
    let served = file.clone();
    let server = Server::new(move |seen, _| storage(seen, &served, "\"a\""));
    let place = Place::new();
    let (target, url, stop) = (place.target(), server.url("/x"), &place.stop);
    let request =
        Request { address: &url, credentials: None, target: &target, sha256: None, limit: 1 << 30, advice: &|_| None };
    let part = place.folder.path().join(".film.bin.part");
    let (mut pause, last) = (settings(), AtomicUsize::new(0));
    pause.attempts = 1;
    let at_the_end = &mut |event: &Event| {
        if std::fs::metadata(&part).is_ok_and(|part| part.len() == 100_000) && matches!(event, Event::Progress { .. }) {
            last.fetch_add(1, Ordering::Relaxed);
            std::fs::copy(&part, place.folder.path().join("copy")).unwrap();
            std::fs::copy(place.folder.path().join(".film.bin.part.json"), place.folder.path().join("copy.json"))
                .unwrap();
        }
    };
    download(&Client::new(pause).unwrap(), &request, at_the_end, stop).unwrap();
    assert!(last.load(Ordering::Relaxed) > 0);
    // As it lay a moment before the end.
    std::fs::remove_file(&target).unwrap();
    std::fs::rename(place.folder.path().join("copy"), &part).unwrap();
    std::fs::rename(place.folder.path().join("copy.json"), place.folder.path().join(".film.bin.part.json")).unwrap();
    download(&client(), &request, &mut |_| {}, stop).unwrap();
    assert_eq!(server.seen().len(), 1);
    assert_eq!(std::fs::read(&target).unwrap(), file);
}

#[test]
fn a_part_of_another_address_is_not_gone_on_with() {
    let server = Server::new(|seen, before| {
        let file = bytes(100_000, if seen.path == "/a" { 14 } else { 15 });
        let reply = storage(seen, &file, "\"same\"");
        if before == 0 { reply.cut(50_000) } else { reply }
    });
    let mut once = settings();
    once.attempts = 1;
    let mut place = Place::new();
    place.fetch_with(&Client::new(once).unwrap(), &server.url("/a")).unwrap_err();
    place.fetch(&server.url("/b")).unwrap();
    assert_eq!(server.ranges(), [None, None]);
    assert_eq!(std::fs::read(place.target()).unwrap(), bytes(100_000, 15));
}

#[test]
fn too_much_is_refused_whatever_was_said() {
    let server = Server::new(|seen, _| match seen.path.as_str() {
        "/said" => Reply::new(200, "x").length(2_000_000),
        // Without a length.
        _ => Reply { length: Some(None), ..Reply::new(200, bytes(3_000_000, 16)) },
    });
    for (path, said) in
        [("/said", "sends 2.0 MB, and 1.0 MB is the most"), ("/endless", "sends more, and 1.0 MB is the most")]
    {
        let mut place = Place::new();
        place.limit = 1_000_000;
        let error = place.fetch(&server.url(path)).unwrap_err();
        assert!(matches!(error, FetchError::TooLarge { .. }), "{error}");
        assert!(error.to_string().contains(said), "{error}");
        assert_eq!(place.left(), [""; 0]);
    }
}

#[cfg(unix)]
#[test]
fn what_does_not_fit_on_the_disk_is_not_begun() {
    let server = Server::new(|_, _| Reply::new(200, "x").length(1 << 60));
    let mut place = Place::new();
    place.limit = u64::MAX;
    let error = place.fetch(&server.url("/x")).unwrap_err();
    let said = error.to_string();
    assert!(matches!(error, FetchError::DiskFull { .. }), "{said}");
    assert!(
        said.contains("is full (1152.9 PB are needed, ") && said.ends_with("make room, and the same command goes on")
    );
    assert_eq!(place.left(), [""; 0]);
}

#[test]
fn what_is_no_file_is_not_taken_for_one() {
    let server = Server::new(|seen, _| match seen.path.as_str() {
        "/portal" => Reply::new(200, "<html>sign in").header("Content-Type", "text/html; charset=utf-8"),
        "/private" => Reply::redirect("/account/login?next=x"),
        "/account/login?next=x" => Reply::new(200, "<html>").header("Content-Type", "text/html"),
        _ => Reply::new(200, "x").header("Content-Encoding", "gzip"),
    });
    let said = |path: &str| {
        let mut place = Place::new();
        let said = place.fetch(&server.url(path)).unwrap_err().to_string();
        assert_eq!(place.left(), [""; 0]);
        said
    };
    assert!(said("/portal").contains("sends a web page instead of the file"));
    assert!(said("/private").contains("/account/login answered 401: "));
    assert!(said("/gzip").contains("an encoding that was not asked for (gzip)"));
}

#[test]
fn redirects_that_are_not_followed() {
    let server = Server::new(|seen, _| {
        Reply::redirect(match seen.path.as_str() {
            "/plain" => "http://storage.example/film?X-Goog-Signature=s3cret",
            "/file" => "file:///etc/passwd",
            "/user" => "https://ada:s3cret@storage.example/",
            _ => "/circle",
        })
    });
    for (path, part) in [
        ("/plain", "leads to http://storage.example/film: only HTTPS is used"),
        ("/file", "leads to file:///etc/passwd: "),
        ("/user", "leads to https://storage.example/: an address must not hold a user name or a password"),
        ("/circle", "redirects in a circle"),
    ] {
        let error = Place::new().fetch(&server.url(path)).unwrap_err();
        let said = format!("{error} {error:?}");
        assert!(said.contains(part), "{said}");
        assert!(!said.contains("s3cret"), "{said}");
    }
}

#[test]
fn silence_is_not_waited_for_without_end() {
    let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/x", silent.local_addr().unwrap());
    let mut brief = settings();
    (brief.idle_timeout, brief.attempts) = (Duration::from_millis(200), 2);
    let begun = Instant::now();
    let said = Place::new().fetch_with(&Client::new(brief.clone()).unwrap(), &url).unwrap_err().to_string();
    assert!(said.contains("127.0.0.1: nothing came for 0.2 s"), "{said}");
    assert!(begun.elapsed() < Duration::from_secs(10));

    // In the middle of a body, too.
    let server = Server::new(|seen, before| {
        let mut reply = storage(seen, &bytes(100_000, 17), "\"a\"");
        if before == 0 {
            reply.pause = Duration::from_secs(30);
        }
        reply
    });
    let mut place = Place::new();
    place.fetch_with(&Client::new(brief).unwrap(), &server.url("/x")).unwrap();
    assert!(place.notes().contains("nothing came for 0.2 s"), "{}", place.notes());
    assert_eq!(server.ranges()[1], Some("bytes=50000-".into()));
    assert!(begun.elapsed() < Duration::from_secs(20));
}

#[test]
fn a_host_that_is_not_there_is_named() {
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let said = Place::new().fetch(&format!("http://{free}/x")).unwrap_err().to_string();
    assert!(said.contains("127.0.0.1: the connection was refused (given up after 5 attempts)"), "{said}");
}

#[test]
fn offline_asks_nobody() {
    let server = Server::new(|seen, _| storage(seen, b"film", "\"a\""));
    let mut offline = settings();
    offline.offline = true;
    let mut place = Place::new();
    let error = place.fetch_with(&Client::new(offline).unwrap(), &server.url("/x")).unwrap_err();
    assert_eq!(error.to_string(), format!("LUNGFISH_OFFLINE is set: {} is not fetched", server.url("/x")));
    assert!(server.seen().is_empty());
    assert_eq!(place.left(), [""; 0]);
}

#[test]
fn two_do_not_fetch_into_one_file() {
    let server = Server::new(|seen, before| {
        let mut reply = storage(seen, &bytes(100_000, 18), "\"a\"");
        if before == 0 {
            reply.pause = Duration::from_millis(400);
        }
        reply
    });
    let place = Place::new();
    let (target, url) = (place.target(), server.url("/x"));
    let request = || Request {
        address: &url,
        credentials: None,
        target: &target,
        sha256: None,
        limit: 1 << 30,
        advice: &|_| None,
    };
    std::thread::scope(|scope| {
        let first = scope.spawn(|| download(&client(), &request(), &mut |_| {}, &place.stop));
        while server.seen().is_empty() {
            std::thread::sleep(Duration::from_millis(5));
        }
        let second = download(&client(), &request(), &mut |_| {}, &place.stop).unwrap_err();
        assert!(matches!(second, FetchError::Busy { .. }), "{second}");
        first.join().unwrap().unwrap();
    });
    assert_eq!(place.left(), ["film.bin"]);
}
