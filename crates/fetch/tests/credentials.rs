//! Where Kaggle's credentials are found, in which order, and that nobody gets to see them.

mod common;

use std::ffi::OsString;
use std::fs;
use std::path::Path;

use common::notes;
use lungfish_fetch::{Credentials, Event, FetchError};

/// A home folder whose files only their owner can read.
fn home(files: &[(&str, &str)]) -> tempfile::TempDir {
    let home = tempfile::tempdir().unwrap();
    for (name, text) in files {
        let file = home.path().join(name);
        fs::create_dir_all(file.parent().unwrap()).unwrap();
        fs::write(&file, text).unwrap();
        close(&file, 0o600);
    }
    home
}

fn close(file: &Path, mode: u32) {
    #[cfg(unix)]
    fs::set_permissions(file, std::os::unix::fs::PermissionsExt::from_mode(mode)).unwrap();
    #[cfg(not(unix))]
    let _ = (file, mode);
}

fn find(variables: &[(&str, String)], home: &Path) -> (Result<Option<Credentials>, FetchError>, Vec<Event>) {
    let mut events = vec![];
    let variable =
        |name: &str| variables.iter().find(|(known, _)| *known == name).map(|(_, value)| OsString::from(value.clone()));
    let found = Credentials::find(&variable, Some(home), &mut |event| events.push(event.clone()));
    (found, events)
}

/// Where they were found.
fn source(variables: &[(&str, String)], home: &Path) -> Option<String> {
    let (found, events) = find(variables, home);
    assert!(events.is_empty(), "{events:?}");
    found.unwrap().map(|credentials| credentials.source().to_owned())
}

const JSON: &str = r#"{"username":"ada","key":"s3cret"}"#;

#[test]
fn the_order_is_that_of_the_official_client() {
    let all = home(&[
        (".kaggle/access_token", "t0ken\n"),
        (".kaggle/access_token.txt", "t0ken"),
        (".kaggle/kaggle.json", JSON),
        ("config/kaggle.json", JSON),
        ("my-token", "t0ken"),
    ]);
    let in_home = |name: &str| all.path().join(name).to_str().unwrap().to_owned();
    let mut variables = vec![
        ("KAGGLE_API_TOKEN", in_home("my-token")),
        ("KAGGLE_USERNAME", "ada".to_owned()),
        ("KAGGLE_KEY", "s3cret".to_owned()),
        ("KAGGLE_CONFIG_DIR", in_home("config")),
    ];
    let source = |variables: &[(&str, String)]| source(variables, all.path());
    assert_eq!(source(&variables), Some(in_home("my-token")));
    variables[0].1 = "t0ken".to_owned();
    assert_eq!(source(&variables).as_deref(), Some("KAGGLE_API_TOKEN"));
    variables[0].1 = String::new();
    for name in [".kaggle/access_token", ".kaggle/access_token.txt"] {
        assert_eq!(source(&variables), Some(in_home(name)));
        fs::remove_file(all.path().join(name)).unwrap();
    }
    assert_eq!(source(&variables).as_deref(), Some("KAGGLE_USERNAME and KAGGLE_KEY"));
    variables.drain(0..3);
    assert_eq!(source(&variables), Some(in_home("config/kaggle.json")));
    variables.clear();
    assert_eq!(source(&variables), Some(in_home(".kaggle/kaggle.json")));
    fs::remove_file(all.path().join(".kaggle/kaggle.json")).unwrap();
    assert_eq!(source(&variables), None);
}

#[test]
fn half_a_pair_is_told_and_not_used() {
    let home = home(&[]);
    for (name, other) in [("KAGGLE_USERNAME", "KAGGLE_KEY"), ("KAGGLE_KEY", "KAGGLE_USERNAME")] {
        let (found, events) = find(&[(name, "s3cret".to_owned())], home.path());
        assert_eq!(found.unwrap(), None);
        assert_eq!(events, [Event::Warning(format!("{name} is set without {other}: ignored"))]);
    }
}

#[cfg(unix)]
#[test]
fn files_that_others_can_read_are_warned_of() {
    for (name, text) in [(".kaggle/kaggle.json", JSON), (".kaggle/access_token", "t0ken")] {
        let home = home(&[(name, text)]);
        let file = home.path().join(name);
        for (mode, warned) in [(0o600, false), (0o400, false), (0o644, true), (0o640, true), (0o604, true)] {
            close(&file, mode);
            let (found, events) = find(&[], home.path());
            assert!(found.unwrap().is_some());
            assert_eq!(events.len(), usize::from(warned), "{mode:o}");
            if warned {
                let said = notes(&events);
                assert!(matches!(events[0], Event::Warning(_)));
                assert!(said.contains(&format!("(mode {mode:o})")), "{said}");
                assert!(said.ends_with(&format!("chmod 600 {}", file.display())), "{said}");
                assert!(!said.contains("s3cret") && !said.contains("t0ken"));
            }
        }
    }
}

#[test]
fn what_cannot_be_used_is_named_and_not_shown() {
    for text in [
        "",
        "s3cret",
        "{\"username\":\"ada\",\"key\":5, \"s3cret\": 1}",
        "{\"username\":\"ada\"}",
        "{\"username\":\"ada\",\"key\":\"\"}",
        "{\"username\":\"ada\",\"key\":\"s3cret\\r\\nX-Evil: 1\"}",
        "{\"username\":\"a:da\",\"key\":\"s3cret\"}",
    ] {
        let home = home(&[(".kaggle/kaggle.json", text)]);
        let error = find(&[], home.path()).0.unwrap_err();
        let said = format!("{error} {error:?}");
        assert!(said.contains("kaggle.json cannot be used: "), "{said}");
        assert!(!said.contains("s3cret"), "{said}");
    }
    let error = find(&[("KAGGLE_API_TOKEN", "t0k en".to_owned())], home(&[]).path()).0.unwrap_err().to_string();
    assert_eq!(
        error,
        "the credentials in KAGGLE_API_TOKEN cannot be used: the token has characters that no credential has"
    );
}

#[test]
fn their_debug_says_only_where_they_are_from() {
    let basic = Credentials::basic("ada", "s3cret", "a test").unwrap();
    let bearer = Credentials::bearer("t0ken", "a test").unwrap();
    assert_eq!(format!("{basic:?} {bearer:#?}"), "Credentials(from a test) Credentials(from a test)");
}
