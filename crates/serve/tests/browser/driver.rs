//! Chromium with one window, by its own driver (W3C WebDriver), and what the tests ask of it.

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

/// How long the page may take for anything.
const PATIENCE: Duration = Duration::from_secs(60);

/// A browser with one window, which ends with the value.
pub struct Browser {
    driver: Child,
    port: u16,
    session: String,
    _profile: tempfile::TempDir,
}

fn program(names: &[&str]) -> Option<PathBuf> {
    let folders: Vec<PathBuf> = std::env::split_paths(&std::env::var_os("PATH")?).collect();
    names.iter().flat_map(|name| folders.iter().map(move |folder| folder.join(name))).find(|file| file.is_file())
}

impl Browser {
    /// Starts one of that width; none where there is no Chromium with its driver.
    pub fn open(width: u32, dark: bool) -> Option<Self> {
        let (Some(chromium), Some(driver)) = (program(&["chromium", "chromium-browser"]), program(&["chromedriver"]))
        else {
            println!(
                "skipped: there is no chromium with a chromedriver here (Debian's packages chromium and chromium-driver)"
            );
            return None;
        };
        let profile = tempfile::tempdir().unwrap();
        let mut driver = Command::new(driver)
            .arg("--port=0")
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("the driver starts");
        let lines = BufReader::new(driver.stdout.take().unwrap()).lines().map_while(Result::ok);
        let said = lines.filter(|line| line.contains("started successfully on port")).take(1).next();
        let port =
            said.and_then(|line| line.trim_end_matches('.').rsplit(' ').next()?.parse().ok()).expect("it has a port");
        let mut browser = Browser { driver, port, session: String::new(), _profile: profile };
        let folder = format!("--user-data-dir={}", browser._profile.path().display());
        let size = format!("--window-size={width},900");
        let mut args = vec![
            "--headless=new",
            "--no-sandbox",
            "--disable-gpu",
            "--disable-quic",
            "--no-first-run",
            "--lang=en-US",
            "--disable-background-networking",
            "--disable-component-update",
            "--disable-sync",
            &folder,
            &size,
        ];
        if dark {
            args.push("--force-dark-mode");
        }
        let wanted = json!({ "capabilities": { "alwaysMatch": {
            "goog:chromeOptions": { "binary": chromium, "args": args },
            "goog:loggingPrefs": { "browser": "ALL" },
        } } });
        let started = browser.call("POST", "/session", &wanted);
        browser.session = format!("/session/{}", started["sessionId"].as_str().expect("a session begins"));
        Some(browser)
    }

    fn call(&self, method: &str, path: &str, body: &Value) -> Value {
        let mut stream = TcpStream::connect(("127.0.0.1", self.port)).unwrap();
        let body = if method == "POST" { body.to_string() } else { String::new() };
        write!(
            stream,
            "{method} {path} HTTP/1.1\r\nHost: 127.0.0.1:{}\r\nConnection: close\r\nContent-Type: application/json\r\n\
             Content-Length: {}\r\n\r\n{body}",
            self.port,
            body.len()
        )
        .unwrap();
        // The driver keeps the connection, whatever it is asked.
        let mut answer = BufReader::new(stream);
        let (mut head, mut length) = (String::new(), 0);
        loop {
            let mut line = String::new();
            answer.read_line(&mut line).unwrap();
            if let Some((name, value)) = line.split_once(':')
                && name.eq_ignore_ascii_case("content-length")
            {
                length = value.trim().parse().unwrap();
            }
            if line.trim().is_empty() {
                break;
            }
            head.push_str(&line);
        }
        let mut body = vec![0; length];
        answer.read_exact(&mut body).unwrap();
        let status = head.split(' ').nth(1);
        let said: Value = serde_json::from_slice(&body).unwrap();
        assert_eq!(status, Some("200"), "{method} {path}: {}", said["value"]["message"]);
        said["value"].clone()
    }

    fn of_session(&self, path: &str, body: &Value) -> Value {
        self.call("POST", &format!("{}{path}", self.session), body)
    }

    pub fn go(&self, url: &str) {
        self.of_session("/url", &json!({ "url": url }));
        self.until("document.querySelectorAll('#model option').length > 0");
    }

    /// What an expression comes to on the page.
    pub fn value(&self, expression: &str) -> Value {
        self.of_session("/execute/sync", &json!({ "script": format!("return {expression}"), "args": [] }))
    }

    pub fn text(&self, selector: &str) -> String {
        self.value(&format!("document.querySelector('{selector}')?.textContent ?? ''"))
            .as_str()
            .unwrap_or_default()
            .to_owned()
    }

    /// Waits until an expression is true.
    pub fn until(&self, expression: &str) {
        let begun = Instant::now();
        while self.value(&format!("Boolean({expression})")) != true {
            if begun.elapsed() > PATIENCE {
                panic!("never: {expression}\n{}\n{:?}", self.value("document.body.innerText"), self.log());
            }
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    fn element(&self, selector: &str) -> String {
        let found = self.of_session("/element", &json!({ "using": "css selector", "value": selector }));
        found.as_object().unwrap().values().next().unwrap().as_str().unwrap().to_owned()
    }

    pub fn click(&self, selector: &str) {
        // What is always in sight at the bottom would take the click.
        self.value(&format!("document.querySelector('{selector}').scrollIntoView({{ block: 'center' }})"));
        let element = self.element(selector);
        self.of_session(&format!("/element/{element}/click"), &json!({}));
    }

    pub fn keys(&self, selector: &str, keys: &str) {
        let element = self.element(selector);
        self.of_session(&format!("/element/{element}/value"), &json!({ "text": keys }));
    }

    /// Chooses files, as a person does in the dialog.
    pub fn choose(&self, files: &[PathBuf]) {
        let names: Vec<&str> = files.iter().map(|file| file.to_str().unwrap()).collect();
        self.keys("#files", &names.join("\n"));
    }

    /// Waits until all films that were chosen have an answer.
    pub fn settled(&self, films: usize) {
        self.until(&format!(
            "document.querySelectorAll('#films tbody tr').length === {films} && document.getElementById('bar').hidden && \
             !document.querySelector('[aria-busy]')"
        ));
    }

    /// What the browser had to complain about, but for answers that are meant to be refusals.
    pub fn log(&self) -> Vec<String> {
        let said = self.of_session("/se/log", &json!({ "type": "browser" }));
        let complaints = said.as_array().cloned().unwrap_or_default().into_iter();
        let complaints = complaints.filter(|line| line["level"] == "SEVERE").map(|line| line["message"].to_string());
        complaints.filter(|line| !line.contains("status of 422") && !line.contains("ERR_CONNECTION")).collect()
    }

    /// Whether the page has what axe-core calls a barrier; nothing is said where axe-core is not there.
    pub fn barriers(&self, view: &str) {
        let axe = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target/axe/node_modules/axe-core/axe.min.js");
        let Ok(axe) = fs::read_to_string(axe) else {
            println!("skipped: axe-core is not in target/axe (npm install --prefix target/axe axe-core)");
            return;
        };
        self.of_session("/execute/sync", &json!({ "script": axe, "args": [] }));
        let script = "const done = arguments[0]; axe.run(document, { resultTypes: ['violations'] }).then(found => \
                      done(found.violations.map(v => v.id + ': ' + v.nodes.map(n => n.target.join(' ')).slice(0, 3).join(' | '))))";
        let found = self.of_session("/execute/async", &json!({ "script": script, "args": [] }));
        assert_eq!(found, json!([]), "{view}");
    }

    pub fn has_no_sideways_scrolling(&self, view: &str) {
        let [page, window] = ["document.documentElement.scrollWidth", "window.innerWidth"].map(|what| self.value(what));
        assert!(page.as_f64() <= window.as_f64(), "{view}: the page is {page} wide in a window of {window}");
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        if !self.session.is_empty() && !std::thread::panicking() {
            self.call("DELETE", &self.session.clone(), &Value::Null);
        }
        let _ = self.driver.kill();
        let _ = self.driver.wait();
    }
}
