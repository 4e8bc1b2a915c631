//! The server as its clients see it: a real one, over real connections.

#[path = "../common/mod.rs"]
mod common;
mod teaching;

use std::fs;
use std::io::{Read, Write};
use std::net::{IpAddr, SocketAddr, TcpStream};
use std::sync::atomic::AtomicBool;
use std::time::{Duration, Instant};

use common::{ANY_OF, MADE, Server, lying_in};
use lungfish::{PrecisionRule, Predictor};
use lungfish_serve::ServeRequest;
use serde_json::Value;

#[test]
fn a_film_is_answered_as_the_program_answers_it() {
    let there = lying_in(&MADE.run());
    let server = Server::start(|_| {});
    let film = fs::read(&MADE.films("test")[0]).unwrap();
    let (status, said) = server.predict("/api/predict?name=a.png", &film);
    assert_eq!(status, 200, "{said}");
    let mut predictor = Predictor::open(&MADE.run()).unwrap();
    let mut expected = serde_json::to_value(predictor.predict_bytes(&film).unwrap()).unwrap();
    expected["path"] = "a.png".into();
    assert_eq!(said, expected, "to the bit");

    let (status, explained) = server.predict("/api/explain?model=run&name=a.png", &film);
    assert_eq!((status, &explained["probabilities"]), (200, &said["probabilities"]));
    let map = &explained["map"];
    let cells = map["rows"].as_u64().unwrap() * map["columns"].as_u64().unwrap();
    assert_eq!(map["values"].as_array().unwrap().len() as u64, cells);
    assert!(explained["picture"].as_str().unwrap().starts_with("data:image/png;base64,iVBOR"));
    assert_eq!((&explained["film"]["format"], explained["square"].as_array().unwrap().len()), (&"PNG".into(), 4));
    // Maps stay with who asked for them.
    assert_eq!(server.predict("/api/predict?name=a.png", &film).1, expected);
    assert_eq!(lying_in(&MADE.run()), there, "nothing is written");
}

#[test]
fn films_are_asked_about_in_the_precision_that_was_asked_for() {
    let film = fs::read(&MADE.films("test")[0]).unwrap();
    let own = Predictor::open(&MADE.run()).unwrap().precision();
    let other = if own == "bf16" { PrecisionRule::Fp32 } else { PrecisionRule::Bf16 };
    for (rule, computed, told) in [(PrecisionRule::Auto, own.as_str(), None), (other, other.name(), Some(other.name()))]
    {
        let server = Server::start(|request| request.precision = rule);
        assert_eq!(server.json("/api/models")["models"][0]["precision"], computed);
        let said = server.predict("/api/predict?name=a.png", &film).1;
        assert_eq!(said["precision"].as_str(), told, "{said}");
        let mut predictor = Predictor::open(&MADE.run()).unwrap().with_precision(rule).unwrap();
        let expected = serde_json::to_value(predictor.predict_bytes(&film).unwrap()).unwrap();
        assert_eq!(said["probabilities"], expected["probabilities"], "{computed}: to the bit");
    }
}

#[test]
fn several_films_come_as_a_form_and_bad_ones_stop_nothing() {
    let server = Server::start(|_| {});
    let films = MADE.films("test");
    let parts: Vec<(&str, Vec<u8>)> = vec![
        ("a.png", fs::read(&films[0]).unwrap()),
        ("evil\u{202e}.png", b"this is text".to_vec()),
        ("../../etc/passwd", fs::read(&films[1]).unwrap()),
        ("empty.png", Vec::new()),
    ];
    let mut body = Vec::new();
    for (name, bytes) in &parts {
        body.extend(
            format!("--xyz\r\nContent-Disposition: form-data; name=\"film\"; filename=\"{name}\"\r\n\r\n").bytes(),
        );
        body.extend(bytes);
        body.extend(b"\r\n");
    }
    body.extend(b"--xyz--\r\n");
    let kind = [("Content-Type", "multipart/form-data; boundary=xyz")];
    let (status, _, answer) = server.ask("POST", "/api/predict", &kind, &body);
    let said: Value = serde_json::from_slice(&answer).unwrap();
    assert_eq!(status, 200, "{said}");
    let films = said["films"].as_array().unwrap();
    assert_eq!(films.len(), 4, "{said}");
    assert!(films[0]["class"].is_string() && films[2]["class"].is_string());
    assert_eq!((&films[1]["path"], &films[2]["path"]), (&"evil\\u{202e}.png".into(), &"../../etc/passwd".into()));
    assert!(films[1]["error"].as_str().unwrap().contains("cannot be read"), "{said}");
    assert!(films[3]["error"].as_str().unwrap().contains("empty"), "{said}");

    let cut = &body[..body.len() - 40];
    let (status, head, answer) = server.ask("POST", "/api/predict", &kind, cut);
    assert_eq!(status, 400, "{}", String::from_utf8_lossy(&answer));
    assert!(head.contains("content-type: application/problem+json"), "{head}");
    let other = String::from_utf8_lossy(&body).replace("name=\"film\"", "name=\"file\"").into_bytes();
    let (status, _, answer) = server.ask("POST", "/api/predict", &kind, &other);
    assert!(status == 400 && String::from_utf8_lossy(&answer).contains("are called \\\"film\\\""));
}

#[test]
fn what_cannot_be_answered_is_a_problem_with_a_sentence() {
    let server = Server::start(|_| {});
    let film = fs::read(&MADE.films("test")[0]).unwrap();
    for (method, path, body, status, says) in [
        ("POST", "/api/predict", &b""[..], 422, "its body is empty"),
        ("POST", "/api/predict", b"no film at all", 422, "cannot be read"),
        ("POST", "/api/explain", &film[..film.len() / 2], 422, "cannot be read"),
        ("POST", "/api/predict?model=other", &film, 404, "there is no model other; there are run"),
        ("GET", "/api/predict", b"", 405, "does not take that method"),
        ("GET", "/api/nothing", b"", 404, "nothing at this address"),
        ("GET", "/../../etc/passwd", b"", 404, "nothing at this address"),
        ("GET", "/api/test/films/one", b"", 400, "no number of a film"),
        ("POST", "/api/predict?model=run&model=run", &film, 400, "duplicate field"),
        ("GET", "/api/test/films/999999", b"", 404, "the test has no film 999999"),
    ] {
        let (found, head, answer) = server.ask(method, path, &[], body);
        let problem: Value = serde_json::from_slice(&answer).unwrap_or_default();
        assert_eq!((found, &problem["status"]), (status, &status.into()), "{method} {path} {problem}");
        assert!(head.contains("application/problem+json"), "{head}");
        assert!(problem["detail"].as_str().unwrap().contains(says), "{method} {path}: {problem}");
    }
    assert_ne!(server.get("/api/test/films/..%2f..%2fetc%2fpasswd").0, 200);
}

#[test]
fn pages_of_others_are_refused_and_every_answer_says_what_may_be_loaded() {
    let server = Server::start(|_| {});
    let (status, head, page) = server.get("/");
    assert_eq!(status, 200);
    for header in ["content-security-policy: default-src 'self'", "x-content-type-options: nosniff", "text/html"] {
        assert!(head.contains(header), "{header}: {head}");
    }
    assert!(!head.contains("access-control-allow"), "{head}");
    let page = String::from_utf8(page).unwrap();
    assert!(!page.contains("http://") && !page.contains("https://"), "the page loads nothing from elsewhere");
    let (_, head, packed) = server.ask("GET", "/style.css", &[("Accept-Encoding", "br, gzip;q=0.9")], b"");
    assert!(head.contains("content-encoding: gzip") && packed.starts_with(&[0x1f, 0x8b]), "{head}");
    assert!(!server.get("/style.css").1.contains("content-encoding"));
    for headers in [[("Host", "evil.example")], [("Origin", "http://evil.example")], [("Sec-Fetch-Site", "cross-site")]]
    {
        let (status, head, _) = server.ask("POST", "/api/predict", &headers, b"x");
        assert_eq!(status, 403, "{headers:?}");
        assert!(head.contains("content-security-policy"), "{head}");
    }
}

#[test]
fn beyond_this_machine_the_token_is_asked_for() {
    let server = Server::start(|request| request.host = IpAddr::from([0, 0, 0, 0]));
    let token = server.started.url.split_once("#token=").expect("the address has it").1.to_owned();
    assert_eq!(server.get("/").0, 200, "the page itself tells nothing");
    let (status, head, _) = server.get("/api/models");
    assert!(status == 401 && head.contains("www-authenticate: bearer"), "{head}");
    let bearer = format!("Bearer {token}");
    assert_eq!(server.ask("GET", "/api/models", &[("Authorization", &bearer)], b"").0, 200);
    assert_eq!(server.ask("GET", "/metrics", &[("Authorization", "Bearer 00")], b"").0, 401);
}

#[test]
fn the_test_and_the_training_of_a_run_can_be_looked_at() {
    let server = Server::start(|_| {});
    let models = server.json("/api/models");
    let model = &models["models"][0];
    assert_eq!((&model["name"], &model["positive"]), (&"run".into(), &"PNEUMONIA".into()), "{model}");
    assert_eq!((&model["synthetic"], &model["log"]), (&true.into(), &true.into()), "{model}");
    assert!(
        model["test"]["auc"]["value"].is_number() && model["test"]["sensitivity"]["interval"].is_array(),
        "{model}"
    );

    let test = server.json("/api/test?model=run");
    let films = test["films"].as_array().unwrap();
    assert_eq!(films.len(), MADE.films("test").len());
    assert!(films.iter().all(|film| film["probability"].is_number() && film["label"].is_string()), "{test}");
    assert_eq!(test["metrics"]["schema"], "lungfish.test.1");
    let (status, head, png) = server.get("/api/test/films/0?model=run");
    assert!(status == 200 && head.contains("content-type: image/png") && png.starts_with(b"\x89PNG"));

    // Events: all epochs so far, and that nothing goes on.
    let mut stream = server.connect();
    write!(stream, "GET /api/watch HTTP/1.1\r\nHost: localhost:{}\r\n\r\n", server.port()).unwrap();
    let (mut seen, mut piece) = (String::new(), [0; 4096]);
    while !seen.contains("event: state") {
        let read = stream.read(&mut piece).unwrap();
        assert!(read > 0, "{seen}");
        seen.push_str(&String::from_utf8_lossy(&piece[..read]));
    }
    assert!(seen.contains("text/event-stream") && seen.contains("\"running\":false"), "{seen}");
    let log = fs::read_to_string(MADE.run().join("log.jsonl")).unwrap();
    assert_eq!(seen.matches("event: epoch").count(), log.lines().count(), "{seen}");
    // The best epoch is the one that the training chose, and no other.
    let kept = Predictor::open(&MADE.run()).unwrap().info().epoch.clone().unwrap();
    assert!(seen.contains(&format!("\"best\":{{\"phase\":\"frozen\",\"epoch\":{}}}", kept.epoch)), "{seen}");
    // The server ends although somebody watches.
    let begun = Instant::now();
    drop(server);
    assert!(begun.elapsed() < Duration::from_secs(5));
}

#[test]
fn why_the_model_of_a_training_cannot_be_opened_is_told_once() {
    let dir = tempfile::tempdir().unwrap();
    let run = dir.path().join("broken");
    fs::create_dir(&run).unwrap();
    for name in ["recipe.toml", "split.csv", "log.jsonl"] {
        fs::copy(MADE.run().join(name), run.join(name)).unwrap();
    }
    fs::write(run.join("best.safetensors"), b"no model").unwrap();
    let server = Server::start(|request| request.watch = vec![run.clone()]);
    let told = server.json("/api/models")["runs"][0].clone();
    assert_eq!((&told["name"], &told["model"]), (&"broken".into(), &Value::Null));
    let why = told["failed"].as_str().unwrap();
    assert!(why.contains("best.safetensors"), "{told}");
    let mut stream = server.connect();
    write!(stream, "GET /api/watch?run=broken HTTP/1.1\r\nHost: localhost:{}\r\n\r\n", server.port()).unwrap();
    let (mut seen, mut piece) = (String::new(), [0; 4096]);
    let mut until = |what: &str| {
        while !seen.contains(what) {
            let read = stream.read(&mut piece).unwrap();
            assert!(read > 0, "{seen}");
            seen.push_str(&String::from_utf8_lossy(&piece[..read]));
        }
        seen.clone()
    };
    until("\"failed\":\"");
    // It is tried again and again, and said no more; a model that can be opened is one.
    std::thread::sleep(Duration::from_millis(2500));
    fs::copy(MADE.run().join("best.safetensors"), dir.path().join("new")).unwrap();
    fs::rename(dir.path().join("new"), run.join("best.safetensors")).unwrap();
    let seen = until("\"failed\":null");
    // The best epoch may become known after it, but nothing is told twice.
    let mut states: Vec<&str> = seen.lines().filter(|line| line.contains("\"failed\":\"")).collect();
    let told = states.len();
    states.dedup();
    assert!(told == states.len() && told <= 2, "{seen}");
    let told = server.json("/api/models")["runs"][0].clone();
    assert_eq!((&told["model"], &told["failed"]), (&"broken".into(), &Value::Null));
}

#[test]
fn the_test_of_labels_tells_each_of_them() {
    let server = Server::start(|request| request.models = vec![ANY_OF.run()]);
    let test = server.json("/api/test");
    assert_eq!((&test["task"], &test["positive"]), (&"any-of".into(), &Value::Null));
    assert_eq!(test["cuts"], serde_json::json!({ "PNEUMONIA": 0.5, "even": 0.5 }));
    let films = test["films"].as_array().unwrap();
    assert!(films.len() > 15 && films.iter().all(|film| film["probabilities"]["even"].is_f64()), "{test}");
    let labels = |name: &str| films.iter().map(|film| film["labels"][name].clone()).collect::<Vec<Value>>();
    assert!(labels("even").contains(&Value::Null), "what nobody knows is not told");
    assert!(labels("PNEUMONIA").iter().all(Value::is_boolean), "{test}");
    assert!(films.iter().all(|film| film["label"] == "" && film["groups"]["folder"].is_string()), "{test}");
    // Of two classes, too.
    let server = Server::start(|_| {});
    let test = server.json("/api/test");
    let cut = test["cut"].clone();
    assert_eq!((&test["task"], &test["cuts"]), (&"one-of".into(), &serde_json::json!({ "PNEUMONIA": cut })));
    let film = &test["films"][0];
    let label = film["label"].as_str().unwrap();
    assert_eq!((&film["labels"][label], &film["probabilities"]["PNEUMONIA"]), (&true.into(), &film["probability"]));
}

#[test]
fn what_was_asked_is_counted() {
    let server = Server::start(|_| {});
    let film = fs::read(&MADE.films("test")[0]).unwrap();
    server.predict("/api/predict", &film);
    server.predict("/api/predict", b"no film");
    let counts = server.json("/api/metrics");
    assert_eq!(counts["films"], 1);
    let predict = &counts["routes"]["/api/predict"];
    assert_eq!(
        (&predict["requests"], &predict["ok"], &predict["refused"]),
        (&2.into(), &1.into(), &1.into()),
        "{counts}"
    );
    let (_, head, text) = server.get("/metrics");
    let text = String::from_utf8(text).unwrap();
    assert!(head.contains("text/plain; version=0.0.4"), "{head}");
    assert!(
        text.contains("lungfish_films_total 1\n") && text.contains("route=\"/api/predict\",status=\"4xx\"} 1\n"),
        "{text}"
    );
    assert!(text.contains("lungfish_request_seconds_count{route=\"/api/predict\"} 2\n"), "{text}");
}

#[test]
fn slow_clients_are_cut_and_the_others_answered() {
    let server = Server::start(|_| {});
    let mut slow: Vec<TcpStream> = (0..20).map(|_| server.connect()).collect();
    for stream in &mut slow {
        write!(stream, "POST /api/predict HTTP/1.1\r\nHost: local").unwrap();
    }
    let film = fs::read(&MADE.films("test")[0]).unwrap();
    assert_eq!(server.predict("/api/predict", &film).0, 200);
    let begun = Instant::now();
    for stream in &mut slow {
        let mut rest = Vec::new();
        let _ = stream.read_to_end(&mut rest);
    }
    assert!(begun.elapsed() < Duration::from_secs(20), "{:?}", begun.elapsed());
}

#[test]
fn many_films_at_once_are_all_answered() {
    let server = Server::start(|_| {});
    let films: Vec<Vec<u8>> = MADE.films("train").iter().take(8).map(|film| fs::read(film).unwrap()).collect();
    let alone: Vec<Value> = films.iter().map(|film| server.predict("/api/predict", film).1).collect();
    std::thread::scope(|scope| {
        for client in 0..8 {
            let (server, films, alone) = (&server, &films, &alone);
            scope.spawn(move || {
                for turn in 0..10 {
                    let at = (client + turn) % films.len();
                    let (status, said) = server.predict("/api/predict", &films[at]);
                    assert_eq!((status, &said), (200, &alone[at]));
                }
            });
        }
    });
    assert_eq!(server.json("/api/metrics")["films"], 88);
}

#[test]
fn the_description_says_what_there_is() {
    let out = tempfile::tempdir().unwrap();
    let teach = (MADE.folder.path().join("films"), out.path().join("taught"));
    let server = Server::start(|request| request.teach = Some(teach));
    let described = server.json("/openapi.json");
    for (path, methods) in described["paths"].as_object().unwrap() {
        for method in methods.as_object().unwrap().keys() {
            // Events have no end, and are asked for elsewhere.
            if path == "/api/watch" || path == "/api/teach" && method == "get" {
                continue;
            }
            let (status, _, body) = server.ask(&method.to_uppercase(), &path.replace("{index}", "0"), &[], b"");
            let told = String::from_utf8_lossy(&body).into_owned();
            assert!(![404, 405, 500].contains(&status), "{method} {path}: {status} {told}");
        }
    }
    let model = &server.json("/api/models")["models"][0];
    let schema = &described["components"]["schemas"]["Model"];
    let described: Vec<&str> = schema["properties"].as_object().unwrap().keys().map(String::as_str).collect();
    let has: Vec<&str> = model.as_object().unwrap().keys().map(String::as_str).collect();
    assert_eq!(has, described);
}

#[test]
fn what_cannot_be_served_is_told_in_one_sentence() {
    let says = |change: &dyn Fn(&mut ServeRequest)| {
        let mut request = ServeRequest::new([MADE.run()]);
        request.port = 0;
        change(&mut request);
        lungfish_serve::serve(&request, |_| {}, &AtomicBool::new(true)).map_err(|error| error.to_string())
    };
    assert_eq!(says(&|_| {}), Ok(()), "it ends as soon as it has begun");
    assert_eq!(
        says(&|request| request.models.clear()),
        Err("there is no model to serve, and no training to watch".to_owned())
    );
    let error = says(&|request| request.models.push("no/model".into())).unwrap_err();
    assert!(error.contains("no/model"), "{error}");
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address: SocketAddr = taken.local_addr().unwrap();
    let error = says(&|request| request.port = address.port()).unwrap_err();
    assert!(error.contains(&format!("cannot listen at {address}")), "{error}");
}

/// Run by hand, with nothing beside it: `cargo test --release -p lungfish-serve --test serving -- --ignored --nocapture`.
#[test]
#[ignore = "a measurement, which wants a quiet machine"]
#[allow(clippy::print_stdout, reason = "it is what the measurement is for")]
fn an_answer_takes_little_longer_than_the_model() {
    const ROUNDS: usize = 200;
    let film = fs::read(&MADE.films("test")[0]).unwrap();
    let mut predictor = Predictor::open(&MADE.run()).unwrap();
    let server = Server::start(|_| {});
    let middle = |mut times: Vec<f64>| {
        times.sort_by(f64::total_cmp);
        times[times.len() / 2]
    };
    let mut stream = server.connect();
    stream.set_nodelay(true).unwrap();
    let head = format!(
        "POST /api/predict HTTP/1.1\r\nHost: localhost:{}\r\nContent-Length: {}\r\n\r\n",
        server.port(),
        film.len()
    );
    let request = [head.as_bytes(), &film].concat();
    let (mut bare, mut served) = (Vec::new(), Vec::new());
    // In turn, so that both meet the same machine.
    for _ in 0..ROUNDS {
        let begun = Instant::now();
        predictor.predict_bytes(&film).unwrap();
        bare.push(begun.elapsed().as_secs_f64());
        let begun = Instant::now();
        stream.write_all(&request).unwrap();
        let (mut answer, mut piece) = (Vec::new(), [0; 4096]);
        while !answer.ends_with(b"}") {
            let read = stream.read(&mut piece).unwrap();
            answer.extend_from_slice(&piece[..read]);
        }
        served.push(begun.elapsed().as_secs_f64());
    }
    let (bare, served) = (middle(bare), middle(served));
    println!("bare {:.2} ms, served {:.2} ms: {:.2} times", 1e3 * bare, 1e3 * served, served / bare);
    assert!(served < 1.2 * bare + 0.000_5);
}

/// Requests that are nearly right, by chance that is the same each time: heads and forms with bytes changed, left out, put in twice.
#[test]
fn mangled_requests_are_answered_or_cut_and_the_server_stays() {
    const REQUESTS: usize = 400;
    let server = Server::start(|_| {});
    let film = fs::read(&MADE.films("test")[0]).unwrap();
    let form = |film: &[u8]| {
        let mut body = b"--xyz\r\nContent-Disposition: form-data; name=\"film\"; filename=\"a.png\"\r\n\r\n".to_vec();
        body.extend(film);
        body.extend(b"\r\n--xyz--\r\n");
        let head = format!(
            "POST /api/predict?model=run&name=a.png HTTP/1.1\r\nHost: 127.0.0.1:{}\r\nConnection: close\r\n\
             Content-Type: multipart/form-data; boundary=xyz\r\nContent-Length: {}\r\n\r\n",
            server.port(),
            body.len()
        );
        [head.into_bytes(), body].concat()
    };
    let whole = form(&film[..film.len().min(600)]);
    let mut state = 42_u64;
    let mut chance = |below: usize| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) as usize % below
    };
    for _ in 0..REQUESTS {
        let mut request = whole.clone();
        for _ in 0..=chance(4) {
            let at = chance(request.len());
            match chance(5) {
                0 => request[at] = chance(256) as u8,
                1 => drop(request.remove(at)),
                2 => request.insert(at, [b'\r', b'\n', b'"', 0, 0xff][chance(5)]),
                3 => request.truncate(at.max(1)),
                _ => {
                    let copy = request[at..(at + chance(40)).min(request.len())].to_vec();
                    request.splice(at..at, copy);
                }
            }
        }
        let mut stream = server.connect();
        let _ = stream.write_all(&request);
        // No more is coming: nothing has to be waited for.
        let _ = stream.shutdown(std::net::Shutdown::Write);
        let mut answer = Vec::new();
        let _ = stream.read_to_end(&mut answer);
        let answered = String::from_utf8_lossy(&answer[..answer.len().min(20)]).into_owned();
        assert!(!answered.starts_with("HTTP/1.1 500"), "{}", String::from_utf8_lossy(&answer));
        assert!(answer.is_empty() || answered.starts_with("HTTP/1.1 "), "{answered}");
    }
    assert_eq!(server.predict("/api/predict", &film).0, 200);
}
