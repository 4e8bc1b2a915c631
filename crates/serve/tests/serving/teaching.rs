//! What needs a data set or a training: labels that are doubted, films that are added, heads that learn, films like one, and runs
//! that are watched before they have a model.

use std::fs;
use std::io::{Read, Write};
use std::path::Path;
use std::sync::atomic::AtomicBool;
use std::time::{Duration, Instant};

use lungfish::{Silent, TrainRequest, Watch};
use serde_json::Value;

use crate::common::{MADE, Server, lying_in};

#[test]
fn a_head_learns_from_corrected_labels_and_no_film_is_touched() {
    let data = MADE.folder.path().join("films");
    let there = lying_in(&data);
    let out = tempfile::tempdir().unwrap();
    let out = out.path().join("taught");
    let start = |out: &Path| {
        let teach = (data.clone(), out.to_owned());
        Server::start(|request| request.teach = Some(teach))
    };
    let server = start(&out);
    let token = format!("Bearer {}", server.started.url.split_once("#token=").unwrap().1);
    let bearer = [("Authorization", token.as_str()), ("Content-Type", "application/json")];
    assert_eq!(server.json("/api/health")["teach"], true);
    let listed = server.json("/api/data?limit=500");
    let items = listed["items"].as_array().unwrap();
    assert_eq!((&listed["films"], items.len()), (&items.len().into(), items.len()));
    assert!(items.iter().all(|item| item["split"] != "test"), "test films are not doubted here");
    let of_class = server.json("/api/data?class=NORMAL");
    assert!(of_class["items"].as_array().unwrap().iter().all(|item| item["label"] == "NORMAL"), "{of_class}");
    assert!(server.get(&format!("/api/data/films/{}", items[0]["index"])).2.starts_with(b"\x89PNG"));

    // Only who has the token changes anything, and only films and classes that there are.
    let (index, label) = (items[0]["index"].as_u64().unwrap(), items[0]["label"].as_str().unwrap());
    let other = if label == "NORMAL" { "PNEUMONIA" } else { "NORMAL" };
    let body = |label: Value| serde_json::json!({ "index": index, "label": label }).to_string();
    let plain = [("Content-Type", "application/json")];
    assert_eq!(server.ask("POST", "/api/corrections", &plain, body(other.into()).as_bytes()).0, 401);
    for (text, status, says) in [
        (body("COVID".into()), 400, "there is no class COVID; there are NORMAL, PNEUMONIA"),
        (r#"{"index":99999,"label":null}"#.to_owned(), 404, "the data set has no film 99999"),
        ("{".to_owned(), 400, ""),
        (r#"{"index":0}"#.to_owned(), 400, "missing field `label`"),
    ] {
        let (found, _, answer) = server.ask("POST", "/api/corrections", &bearer, text.as_bytes());
        assert_eq!(found, status, "{text}");
        assert!(String::from_utf8_lossy(&answer).contains(says));
    }
    assert_eq!(server.ask("POST", "/api/corrections", &bearer, body(other.into()).as_bytes()).0, 200);
    let left_out = format!("{{\"index\":{},\"label\":\"\"}}", items[1]["index"]);
    assert_eq!(server.ask("POST", "/api/corrections", &bearer, left_out.as_bytes()).0, 200);
    let table = String::from_utf8(server.get("/api/corrections").2).unwrap();
    assert_eq!(table, fs::read_to_string(out.join("corrections.csv")).unwrap());
    assert!(table.starts_with("path,label,proposed,left_out\n") && table.lines().count() == 3, "{table}");
    assert_eq!(server.json("/api/data?only=corrected")["found"], 2);

    assert_eq!(server.ask("POST", "/api/teach", &bearer, b"{\"epochs\":0}").0, 400);
    let (status, _, answer) = server.ask("POST", "/api/teach", &bearer, b"{\"epochs\":2}");
    assert_eq!((status, String::from_utf8(answer).unwrap().as_str()), (202, "{\"name\":\"taught-1\"}"));
    let mut stream = server.connect();
    write!(stream, "GET /api/teach HTTP/1.1\r\nHost: localhost:{}\r\n\r\n", server.port()).unwrap();
    let (mut seen, mut piece) = (String::new(), [0; 4096]);
    while !seen.contains("event: done") && !seen.contains("event: failed") {
        let read = stream.read(&mut piece).unwrap();
        assert!(read > 0, "{seen}");
        seen.push_str(&String::from_utf8_lossy(&piece[..read]));
    }
    assert!(seen.contains("event: done") && seen.matches("event: epoch").count() >= 2, "{seen}");
    assert!(seen.contains("\"comparison\":{\"films\":"), "{seen}");
    let names: Vec<Value> =
        server.json("/api/models")["models"].as_array().unwrap().iter().map(|model| model["name"].clone()).collect();
    assert_eq!(names, ["run", "taught-1"]);
    let film = fs::read(&MADE.films("test")[0]).unwrap();
    assert_eq!(server.predict("/api/predict?model=taught-1", &film).0, 200);
    assert!(out.join("taught-1/best.safetensors").is_file() && out.join("taught-1/recipe.toml").is_file());
    let labels = fs::read_to_string(out.join("taught-1.labels.csv")).unwrap();
    assert_eq!(
        labels.lines().count(),
        lying_in(&data).iter().filter(|(path, _)| path.extension().is_some_and(|e| e == "png")).count()
    );
    assert_eq!(lying_in(&data), there, "no film is touched");

    // Another server of the folder knows the proposals, and goes on after the last run; one that ends stops its training.
    drop(server);
    let server = start(&out);
    let token = format!("Bearer {}", server.started.url.split_once("#token=").unwrap().1);
    let bearer = [("Authorization", token.as_str()), ("Content-Type", "application/json")];
    assert_eq!(server.json("/api/data")["corrections"], 2);
    let taken_back = body(Value::Null);
    server.ask("POST", "/api/corrections", &bearer, taken_back.as_bytes());
    assert_eq!(server.json("/api/data")["corrections"], 1);
    let (status, _, answer) = server.ask("POST", "/api/teach", &bearer, b"{\"epochs\":100}");
    assert_eq!((status, String::from_utf8(answer).unwrap().as_str()), (202, "{\"name\":\"taught-2\"}"));
    let (status, _, again) = server.ask("POST", "/api/teach", &bearer, b"{\"epochs\":2}");
    assert!(status == 409, "{}", String::from_utf8_lossy(&again));
    assert_eq!(server.ask("DELETE", "/api/teach", &bearer, b"").0, 202);
}

#[test]
fn films_like_one_are_found_among_those_that_may_have_been_learnt_from() {
    let out = tempfile::tempdir().unwrap();
    let teach = (MADE.folder.path().join("films"), out.path().join("taught"));
    let server = Server::start(|request| request.teach = Some(teach));
    assert_eq!(server.json("/api/models")["models"][0]["neighbours"], true);
    let ask = |server: &Server, film: &[u8]| loop {
        let (status, answer) = server.predict("/api/neighbours", film);
        assert_eq!(status, 200, "{answer}");
        if answer["ready"] == true {
            return answer;
        }
        assert!(answer["done"].as_u64() <= answer["total"].as_u64(), "{answer}");
        std::thread::sleep(Duration::from_millis(50));
    };
    // A film of training is most like itself.
    let film = &MADE.films("train")[0];
    let said = ask(&server, &fs::read(film).unwrap());
    let near = said["neighbours"].as_array().unwrap();
    let known = MADE.films("train").len() + MADE.films("val").len();
    assert_eq!((near.len(), said["films"].as_u64()), (6, Some(known as u64)));
    let first = &near[0];
    assert_eq!((first["name"].as_str(), &first["same"]), (film.file_name().unwrap().to_str(), &true.into()));
    assert!((first["similarity"].as_f64().unwrap() - 1.0).abs() < 1e-6, "{first}");
    assert_eq!(first["label"].as_str(), film.parent().unwrap().file_name().unwrap().to_str());
    let similar: Vec<f64> = near.iter().map(|near| near["similarity"].as_f64().unwrap()).collect();
    assert!(similar.is_sorted_by(|a, b| a >= b) && near[1]["same"] == false, "{said}");
    assert!(server.get(&format!("/api/data/films/{}", first["index"])).2.starts_with(b"\x89PNG"));
    // One of the test split is like others, and no film of the test split is among them.
    let said = ask(&server, &fs::read(&MADE.films("test")[0]).unwrap());
    assert!(said["neighbours"].as_array().unwrap().iter().all(|near| near["same"] == false), "{said}");
    let names: Vec<String> =
        MADE.films("test").iter().map(|film| film.file_name().unwrap().to_string_lossy().into_owned()).collect();
    let told = said["neighbours"].as_array().unwrap();
    assert!(told.iter().all(|near| !names.contains(&near["name"].as_str().unwrap().to_owned())), "{said}");
    // The same films in another folder, under other names: test films are known by what they are.
    let elsewhere = tempfile::tempdir().unwrap();
    for split in ["train", "val", "test"] {
        for (at, film) in MADE.films(split).iter().enumerate() {
            let class = elsewhere.path().join("films").join(film.parent().unwrap().file_name().unwrap());
            fs::create_dir_all(&class).unwrap();
            fs::copy(film, class.join(format!("{split}-{at}.png"))).unwrap();
        }
    }
    let teach = (elsewhere.path().join("films"), elsewhere.path().join("taught"));
    let other = Server::start(|request| request.teach = Some(teach));
    let said = ask(&other, &fs::read(&MADE.films("test")[0]).unwrap());
    assert_eq!(said["films"].as_u64(), Some(known as u64));
    for near in said["neighbours"].as_array().unwrap() {
        assert!(["train", "val"].contains(&near["split"].as_str().unwrap()) && near["same"] == false, "{near}");
        assert!(!near["name"].as_str().unwrap().starts_with("test"), "{near}");
    }
    drop(other);
    assert_eq!(server.predict("/api/neighbours", b"no film").0, 422);
    assert_eq!(server.predict("/api/neighbours?model=other", b"x").0, 404);
    // What knows the films goes with the server.
    drop(server);
    #[cfg(target_os = "linux")]
    {
        let named = || {
            let tasks = fs::read_dir("/proc/self/task").unwrap().flatten();
            let mut names = tasks.filter_map(|task| fs::read_to_string(task.path().join("comm")).ok());
            names.any(|name| name.starts_with("neighbours"))
        };
        let end = Instant::now() + Duration::from_secs(20);
        while named() {
            assert!(Instant::now() < end, "its thread ends");
            std::thread::sleep(Duration::from_millis(20));
        }
    }
    let plain = Server::start(|_| {});
    assert_eq!(plain.predict("/api/neighbours", b"x").0, 404);
    assert_eq!(plain.json("/api/models")["models"][0]["neighbours"], false);
}

#[test]
fn films_are_added_to_a_class_and_learnt_from() {
    let data = MADE.folder.path().join("films");
    let there = lying_in(&data);
    let out = tempfile::tempdir().unwrap();
    let out = out.path().join("taught");
    let start = || {
        let teach = (data.clone(), out.clone());
        Server::start(|request| request.teach = Some(teach))
    };
    let server = start();
    let token = format!("Bearer {}", server.started.url.split_once("#token=").unwrap().1);
    let bearer = [("Authorization", token.as_str())];
    let other = tempfile::tempdir().unwrap();
    lungfish_data::synth(other.path(), 30, 77).unwrap();
    let films = lungfish_data::folder::films_in(other.path()).unwrap();
    let film = fs::read(&films[0]).unwrap();
    let before = server.json("/api/data");
    let address = "/api/data/films?class=NORMAL&name=..%2F..%2Fnew.png";
    assert_eq!(server.ask("POST", address, &[], &film).0, 401, "only who has the token adds a film");
    for (address, body, status, says) in [
        ("/api/data/films?class=COVID", &film[..], 400, "there is no class COVID; there are NORMAL, PNEUMONIA"),
        ("/api/data/films", &film, 400, "class"),
        (address, b"no film", 422, "the image cannot be read"),
        (address, b"", 422, "there is no film"),
    ] {
        let (found, _, answer) = server.ask("POST", address, &bearer, body);
        let answer = String::from_utf8_lossy(&answer).into_owned();
        assert!(found == status && answer.contains(says), "{address}: {found} {answer}");
    }
    assert!(!out.join("added").exists(), "what is refused leaves nothing");
    let (status, _, answer) = server.ask("POST", address, &bearer, &film);
    let added: Value = serde_json::from_slice(&answer).unwrap();
    assert_eq!((status, &added["name"], &added["label"]), (201, &"new.png".into(), &"NORMAL".into()));
    assert_eq!(fs::read(out.join("added/NORMAL/new.png")).unwrap(), film);
    let (status, _, answer) = server.ask("POST", "/api/data/films?class=PNEUMONIA", &bearer, &film);
    assert!(status == 409 && String::from_utf8_lossy(&answer).contains("added to NORMAL already"));
    let second = fs::read(&films[1]).unwrap();
    let (status, _, answer) = server.ask("POST", "/api/data/films?class=PNEUMONIA&name=b.png", &bearer, &second);
    let second: Value = serde_json::from_slice(&answer).unwrap();
    assert_eq!(status, 201);
    let listed = server.json("/api/data?only=added");
    assert_eq!(
        (&listed["found"], &listed["added"], &listed["items"][0]["added"]),
        (&2.into(), &2.into(), &true.into())
    );
    assert_eq!(listed["films"].as_u64().unwrap(), before["films"].as_u64().unwrap() + 2);
    assert!(server.get(&format!("/api/data/films/{}", added["index"])).2.starts_with(b"\x89PNG"));

    // One is proposed to be of the other class, and one is taken away again; a film of the data set is not.
    let json = [("Authorization", token.as_str()), ("Content-Type", "application/json")];
    let proposed = format!("{{\"index\":{},\"label\":\"NORMAL\"}}", second["index"]);
    assert_eq!(server.ask("POST", "/api/corrections", &json, proposed.as_bytes()).0, 200);
    assert_eq!(server.ask("DELETE", "/api/data/films/0", &bearer, b"").0, 409);
    assert_eq!(server.ask("DELETE", "/api/data/films/99999", &bearer, b"").0, 404);
    let gone = format!("/api/data/films/{}", second["index"]);
    assert_eq!(server.ask("DELETE", &gone, &[], b"").0, 401);
    assert_eq!(server.ask("DELETE", &gone, &bearer, b"").0, 200);
    assert_eq!(server.get(&gone).0, 404);
    assert!(!out.join("added/PNEUMONIA/b.png").exists());
    assert_eq!(server.json("/api/data")["corrections"], 0, "what is gone has no proposal");

    // A training has it, and a server that comes back finds it again.
    assert_eq!(server.ask("POST", "/api/teach", &json, b"{\"epochs\":1}").0, 202);
    wait_for(&server, "/api/teach", "event: done");
    let split = fs::read_to_string(out.join("taught-1/split.csv")).unwrap();
    assert!(split.contains("added/NORMAL/new.png"), "{split}");
    drop(server);
    let server = start();
    assert_eq!(server.json("/api/data")["added"], 1);
    assert_eq!(lying_in(&data), there, "no film of the data set is touched");
}

#[test]
fn a_training_is_watched_before_it_has_a_model_and_asked_when_it_has_ended() {
    let dir = tempfile::tempdir().unwrap();
    let run = dir.path().join("run");
    let server = Server::start(|request| {
        request.models.clear();
        request.watch = vec![run.clone()];
    });
    let models = server.json("/api/models");
    assert_eq!(models, serde_json::json!({ "models": [], "runs": [{ "name": "run", "model": null, "failed": null }] }));
    let film = fs::read(&MADE.films("test")[0]).unwrap();
    let (status, said) = server.predict("/api/predict", &film);
    assert!(status == 404 && said["detail"].as_str().unwrap().starts_with("there is no model yet"), "{said}");
    assert_eq!(server.get("/api/watch?run=other").0, 404);
    let films = MADE.folder.path().join("films");
    let training = std::thread::spawn(move || {
        let mut request = TrainRequest::new(films, run);
        for setting in ["image_size=64", "frozen_epochs=2", "limit=60"] {
            request.changes.set(setting).unwrap();
        }
        lungfish::train(&request, &mut Watch::new(&mut Silent, &AtomicBool::new(false))).unwrap();
    });
    let seen = wait_for(&server, "/api/watch?run=run", "\"epoch\":2");
    assert!(seen.matches("event: epoch").count() >= 2, "{seen}");
    training.join().unwrap();
    let end = Instant::now() + Duration::from_secs(30);
    while server.json("/api/models")["models"].as_array().unwrap().is_empty() {
        assert!(Instant::now() < end, "the model is opened when its training has ended");
        std::thread::sleep(Duration::from_millis(100));
    }
    assert_eq!(server.json("/api/models")["runs"][0]["model"], "run");
    assert_eq!(server.predict("/api/predict", &film).0, 200);
}

/// Reads events until one of them is told.
fn wait_for(server: &Server, address: &str, wanted: &str) -> String {
    let mut stream = server.connect();
    write!(stream, "GET {address} HTTP/1.1\r\nHost: localhost:{}\r\n\r\n", server.port()).unwrap();
    let (mut seen, mut piece) = (String::new(), [0; 4096]);
    while !seen.contains(wanted) {
        let read = stream.read(&mut piece).unwrap();
        assert!(read > 0 && !seen.contains("event: failed"), "{seen}");
        seen.push_str(&String::from_utf8_lossy(&piece[..read]));
    }
    seen
}
