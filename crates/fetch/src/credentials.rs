//! Kaggle's credentials: found where its own client looks for them, shown nowhere.

use std::ffi::OsString;
use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};

use base64::Engine;
use base64::prelude::BASE64_STANDARD;

use crate::text;
use crate::{Event, FetchError, Observer};

/// Text that is not shown: its `Debug` says nothing.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// Keeps the text.
    pub fn new(text: impl Into<String>) -> Self {
        Secret(text.into())
    }

    pub(crate) fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("(secret)")
    }
}

/// What proves who asks. It has no `Display`, and its `Debug` names only where it came from.
#[derive(Clone, PartialEq, Eq)]
pub struct Credentials {
    kind: Kind,
    source: String,
}

#[derive(Clone, PartialEq, Eq)]
enum Kind {
    Bearer(Secret),
    Basic { user: String, key: Secret },
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Credentials(from {})", self.source)
    }
}

impl Credentials {
    /// An access token, and where it came from.
    ///
    /// # Errors
    /// A token that cannot stand in a header.
    pub fn bearer(token: &str, source: impl Into<String>) -> Result<Self, FetchError> {
        let (token, source) = (token.trim(), source.into());
        require_plain(token, "the token", &source)?;
        Ok(Credentials { kind: Kind::Bearer(Secret::new(token)), source })
    }

    /// A user name and key, and where they came from.
    ///
    /// # Errors
    /// A name or key that cannot stand in a header.
    pub fn basic(user: &str, key: &str, source: impl Into<String>) -> Result<Self, FetchError> {
        let (user, key, source) = (user.trim(), key.trim(), source.into());
        require_plain(user, "the user name", &source)?;
        require_plain(key, "the key", &source)?;
        if user.contains(':') {
            return Err(unusable(&source, "the user name has a colon"));
        }
        Ok(Credentials { kind: Kind::Basic { user: user.to_owned(), key: Secret::new(key) }, source })
    }

    /// The variable or file that they came from.
    pub fn source(&self) -> &str {
        &self.source
    }

    /// The value of an `Authorization` header.
    pub(crate) fn header(&self) -> String {
        match &self.kind {
            Kind::Bearer(token) => format!("Bearer {}", token.reveal()),
            Kind::Basic { user, key } => {
                format!("Basic {}", BASE64_STANDARD.encode(format!("{user}:{}", key.reveal())))
            }
        }
    }

    /// Takes them out of a server's text, which may have sent them back.
    pub(crate) fn redact(&self, text: &str) -> String {
        let header = self.header();
        let encoded = header.split_once(' ').map_or("", |(_, encoded)| encoded);
        let secret = match &self.kind {
            Kind::Bearer(token) => token.reveal(),
            Kind::Basic { key, .. } => key.reveal(),
        };
        text.replace(encoded, "(secret)").replace(secret, "(secret)")
    }

    /// Kaggle's credentials from the environment and the home folder of this process; see [`Credentials::find`].
    ///
    /// # Errors
    /// As [`Credentials::find`].
    pub fn of_kaggle(observer: &mut Observer<'_>) -> Result<Option<Self>, FetchError> {
        Self::find(&|name| std::env::var_os(name), std::env::home_dir().as_deref(), observer)
    }

    /// Kaggle's credentials, in the order of its own client: `KAGGLE_API_TOKEN` (a token or a file with one), then
    /// `~/.kaggle/access_token` or `access_token.txt`; `KAGGLE_USERNAME` and `KAGGLE_KEY`; `kaggle.json` in
    /// `$KAGGLE_CONFIG_DIR` or `~/.kaggle`. None is no error: public data sets can be had without.
    ///
    /// A file that others can read is warned of.
    ///
    /// # Errors
    /// A file that is there and cannot be read or understood; its content is not told.
    pub fn find(
        variable: &dyn Fn(&str) -> Option<OsString>,
        home: Option<&Path>,
        observer: &mut Observer<'_>,
    ) -> Result<Option<Self>, FetchError> {
        let value = |name: &str| {
            let value = variable(name).filter(|value| !value.is_empty())?;
            Some(value.into_string().map_err(|_| unusable(name, "it is not text")))
        };
        if let Some(token) = value("KAGGLE_API_TOKEN").transpose()? {
            let file = Path::new(token.trim());
            if file.is_file() {
                return Self::from_token_file(file, observer).map(Some);
            }
            return Self::bearer(&token, "KAGGLE_API_TOKEN").map(Some);
        }
        let folder = home.map(|home| home.join(".kaggle"));
        for name in ["access_token", "access_token.txt"] {
            if let Some(file) = folder.as_ref().map(|folder| folder.join(name)).filter(|file| file.is_file()) {
                return Self::from_token_file(&file, observer).map(Some);
            }
        }
        match (value("KAGGLE_USERNAME").transpose()?, value("KAGGLE_KEY").transpose()?) {
            (Some(user), Some(key)) => return Self::basic(&user, &key, "KAGGLE_USERNAME and KAGGLE_KEY").map(Some),
            (Some(_), None) => observer(&Event::Warning("KAGGLE_USERNAME is set without KAGGLE_KEY: ignored".into())),
            (None, Some(_)) => observer(&Event::Warning("KAGGLE_KEY is set without KAGGLE_USERNAME: ignored".into())),
            (None, None) => {}
        }
        let folder = variable("KAGGLE_CONFIG_DIR").filter(|folder| !folder.is_empty()).map(PathBuf::from).or(folder);
        match folder.map(|folder| folder.join("kaggle.json")).filter(|file| file.is_file()) {
            Some(file) => Self::from_json(&file, observer).map(Some),
            None => Ok(None),
        }
    }

    fn from_token_file(file: &Path, observer: &mut Observer<'_>) -> Result<Self, FetchError> {
        Self::bearer(&read(file, observer)?, text::path(file))
    }

    fn from_json(file: &Path, observer: &mut Observer<'_>) -> Result<Self, FetchError> {
        #[derive(serde::Deserialize)]
        struct Json {
            username: String,
            key: String,
        }
        // The parser's message may quote what it read.
        let json: Json = serde_json::from_str(&read(file, observer)?).map_err(|_| {
            unusable(
                &text::path(file),
                "it is not {\"username\": ..., \"key\": ...}: download it anew from Kaggle's settings page",
            )
        })?;
        Self::basic(&json.username, &json.key, text::path(file))
    }
}

fn unusable(source: &str, reason: &str) -> FetchError {
    FetchError::Credentials { source_name: source.to_owned(), reason: reason.to_owned() }
}

fn require_plain(value: &str, what: &str, source: &str) -> Result<(), FetchError> {
    if value.is_empty() {
        Err(unusable(source, &format!("{what} is empty")))
    } else if value.chars().all(|c| c.is_ascii_graphic()) {
        Ok(())
    } else {
        Err(unusable(source, &format!("{what} has characters that no credential has")))
    }
}

/// A file of credentials; a warning where others can read it.
fn read(file: &Path, observer: &mut Observer<'_>) -> Result<String, FetchError> {
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        let mode = fs::metadata(file).map_err(|e| FetchError::io("read", file, e))?.permissions().mode();
        if mode & 0o077 != 0 {
            let (file, mode) = (text::path(file), mode & 0o777);
            observer(&Event::Warning(format!(
                "others on this machine can read the credentials in {file} (mode {mode:o}); close it with: chmod 600 {file}"
            )));
        }
    }
    #[cfg(not(unix))]
    let _ = observer;
    fs::read_to_string(file).map_err(|e| FetchError::io("read", file, e))
}
