//! Pages: `serve` as a program, and the page of a training that goes on.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::process::Stdio;

use crate::common::*;

/// The answer to a request at an address that the program printed.
fn get(url: &str, path: &str) -> String {
    let host = url.strip_prefix("http://").unwrap().split('/').next().unwrap();
    let mut stream = TcpStream::connect(host).unwrap();
    write!(stream, "GET {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}

#[test]
fn a_training_shows_itself_on_a_page_as_long_as_it_goes_on() {
    let dir = temporary();
    let out = dir.path().join("run");
    let mut command = train(&FILMS, &out, &["--serve=0", "--set", "frozen_epochs=3"]);
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let line = lines.next().unwrap().unwrap();
    let url = line.strip_prefix("Watch it at ").and_then(|rest| rest.split(' ').next()).expect(&line).to_owned();
    assert!(line.ends_with("as long as it goes on") && url.starts_with("http://127.0.0.1:"), "{line}");
    let answer = get(&url, "/api/models");
    assert!(
        answer.starts_with("HTTP/1.1 200") && answer.contains(r#"{"name":"run","model":null,"failed":null}"#),
        "{answer}"
    );
    assert!(get(&url, "/").contains("<!doctype html>"));
    let rest: Vec<String> = lines.map_while(Result::ok).collect();
    assert_eq!(child.wait().unwrap().code(), Some(0), "{rest:?}");
    assert!(rest.iter().any(|line| line.starts_with("Training complete")), "{rest:?}");
    let host = url.strip_prefix("http://").unwrap().trim_end_matches('/');
    assert!(TcpStream::connect(host).is_err(), "it ends with the training");
}

#[test]
fn a_page_that_cannot_be_shown_is_told_before_anything_is_trained() {
    let dir = temporary();
    let out = dir.path().join("run");
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port().to_string();
    let output = train(&FILMS, &out, &[&format!("--serve={port}")]).output().unwrap();
    refused(&output, &[&format!("cannot listen at 127.0.0.1:{port}")]);
    assert!(!out.exists());
    refused(&run(&["serve", "--watch", arg(&out), "--port", "0"]), &[arg(&out), "is no run folder"]);
    let output = run(&["serve", "--watch", arg(dir.path()), "--data", arg(&FILMS), "--out", arg(&out)]);
    assert_eq!(output.status.code(), Some(2), "{}", said(&output));
}
