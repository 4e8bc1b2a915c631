//! Data sets of Kaggle, made into a folder.

use std::fs::{self, File, TryLockError};
use std::io;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::sync::atomic::AtomicBool;

use crate::address::Address;
use crate::manifest::Manifest;
use crate::text;
use crate::unpack::{MANIFEST, below};
use crate::{Client, Credentials, Event, FetchError, Limits, Observer, Request, download, unpack};

/// The variable that names another address for Kaggle.
const URL_VARIABLE: &str = "LUNGFISH_KAGGLE_URL";

/// A data set, and a version of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DataSet {
    owner: String,
    slug: String,
    /// None for the newest.
    version: Option<u64>,
}

impl DataSet {
    /// Kermany's chest X-rays of children, normal or pneumonia.
    pub fn pneumonia() -> Self {
        DataSet { owner: "paultimothymooney".to_owned(), slug: "chest-xray-pneumonia".to_owned(), version: None }
    }

    /// One version of it, instead of the newest.
    pub fn at_version(self, version: u64) -> Self {
        DataSet { version: Some(version), ..self }
    }

    /// Where people read about it and accept its terms.
    pub fn page(&self) -> String {
        format!("https://www.kaggle.com/datasets/{}/{}", self.owner, self.slug)
    }

    fn file_name(&self) -> String {
        let version = self.version.map(|version| format!("-v{version}")).unwrap_or_default();
        format!("{}-{}{version}.zip", self.owner, self.slug)
    }
}

/// `kaggle:OWNER/SLUG`.
impl std::fmt::Display for DataSet {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "kaggle:{}/{}", self.owner, self.slug)
    }
}

impl FromStr for DataSet {
    type Err = FetchError;

    /// `kaggle:OWNER/SLUG`, or the address of its page as a browser shows it.
    fn from_str(text: &str) -> Result<Self, FetchError> {
        let page = text
            .strip_prefix("https://www.kaggle.com/datasets/")
            .or(text.strip_prefix("https://kaggle.com/datasets/"))
            .map(|rest| rest.split(['?', '#']).next().unwrap_or_default());
        let name = |part: &str| {
            !part.is_empty()
                && !part.starts_with('.')
                && part.len() <= 100
                && part.chars().all(|c| c.is_ascii_alphanumeric() || "-_.".contains(c))
        };
        let mut parts = text.strip_prefix("kaggle:").or(page).unwrap_or_default().split('/');
        match (parts.next(), parts.next(), parts.next()) {
            (Some(owner), Some(slug), rest)
                if name(owner) && name(slug) && (rest.is_none_or(str::is_empty) || page.is_some()) =>
            {
                Ok(DataSet { owner: owner.to_owned(), slug: slug.to_owned(), version: None })
            }
            _ => Err(FetchError::Unknown(format!(
                "{} names no data set: write kaggle:OWNER/SLUG, the two names after kaggle.com/datasets/ (such as \
                 {})",
                text::plain(text, 200),
                DataSet::pneumonia()
            ))),
        }
    }
}

/// Where credentials are to be had.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Identity {
    /// From the environment and the home folder; see [`Credentials::of_kaggle`]. Looked for only when they are needed.
    Environment,
    /// These, or none.
    Given(Option<Credentials>),
}

/// Kaggle, as this process reaches it.
#[derive(Clone, Debug)]
pub struct Kaggle {
    client: Client,
    base: Address,
    identity: Identity,
}

/// A data set that is there now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fetched {
    /// The folder.
    pub path: PathBuf,
    /// Files of the data set in it.
    pub files: usize,
    /// Their bytes.
    pub bytes: u64,
    /// Whether anything was fetched: not if all of it was there and right.
    pub fetched: bool,
}

/// What lies at the target.
enum There {
    /// Nothing, or an empty folder.
    Nothing,
    /// This data set, whole.
    All { files: usize, bytes: u64 },
    /// This data set without some of its files.
    Some(Manifest),
}

impl Kaggle {
    /// Kaggle at its own address, or at another one: HTTPS, or HTTP on this machine.
    ///
    /// # Errors
    /// An address that cannot be used.
    pub fn new(client: Client, base: Option<&str>, identity: Identity) -> Result<Self, FetchError> {
        let base = Address::parse(base.unwrap_or("https://www.kaggle.com").trim_end_matches('/'))
            .map_err(|reason| FetchError::Setting { name: URL_VARIABLE.to_owned(), reason: reason.to_owned() })?;
        Ok(Kaggle { client, base, identity })
    }

    /// Kaggle as the environment says: `LUNGFISH_KAGGLE_URL`, the settings of [`Client::from_env`], and the credentials
    /// of [`Credentials::of_kaggle`].
    ///
    /// # Errors
    /// A setting that cannot be used.
    pub fn from_env() -> Result<Self, FetchError> {
        let base = std::env::var(URL_VARIABLE).ok().filter(|base| !base.is_empty());
        Self::new(Client::from_env()?, base.as_deref(), Identity::Environment)
    }

    /// Makes the folder `out` hold a data set. `out` must not be there, be empty, or hold this data set already; what
    /// is missing of it is put back, and nothing is overwritten.
    ///
    /// Until all is fetched, verified and unpacked it lies beside `out` in `.NAME.lungfish-fetch`, and `out` does not
    /// change. If this is stopped, cut or killed, the same call goes on from there.
    ///
    /// # Errors
    /// Any [`FetchError`].
    pub fn fetch(
        &self,
        set: &DataSet,
        out: &Path,
        observer: &mut Observer<'_>,
        stop: &AtomicBool,
    ) -> Result<Fetched, FetchError> {
        let (shown, out) = (out.to_owned(), &absolute(out)?);
        let before = match self.look(set, out, observer, stop)? {
            There::All { files, bytes } => {
                return Ok(Fetched { path: shown, files, bytes, fetched: false });
            }
            There::Some(manifest) => Some(manifest),
            There::Nothing => None,
        };
        if self.client.settings().offline {
            return Err(FetchError::Offline { what: set.to_string() });
        }
        let mut staging = Staging::open(out)?;
        let archive = staging.path.join(set.file_name());
        self.download(set, &archive, observer, stop)?;
        let unpacked = staging.path.join("unpacked");
        remove_dir(&unpacked)?;
        let files = unpack(&archive, &unpacked, &Limits::default(), observer, stop).map_err(|error| match error {
            FetchError::Archive { reason, .. } => {
                // It is what the server has: keeping it would only fail again. What cannot be removed is told next time.
                let _ = fs::remove_file(&archive);
                FetchError::Archive { path: PathBuf::from(set.to_string()), reason }
            }
            FetchError::Stopped { .. } => {
                FetchError::Stopped { kept: fs::metadata(&archive).map_or(0, |metadata| metadata.len()) }
            }
            error => error,
        })?;
        let manifest = Manifest::new(set.to_string(), set.version, &files);
        if before.is_some_and(|before| before.files != manifest.files) {
            return Err(FetchError::Target {
                path: out.clone(),
                reason: "lacks files of a version that is not the newest any more: fetch into another folder"
                    .to_owned(),
            });
        }
        place(&manifest, &unpacked, out)?;
        staging.done = true;
        Ok(Fetched { path: shown, files: files.len(), bytes: files.iter().map(|file| file.bytes).sum(), fetched: true })
    }

    fn look(
        &self,
        set: &DataSet,
        out: &Path,
        observer: &mut Observer<'_>,
        stop: &AtomicBool,
    ) -> Result<There, FetchError> {
        let refused = |reason: String| FetchError::Target { path: out.to_owned(), reason };
        let mut entries = match fs::read_dir(out) {
            Ok(entries) => {
                entries.filter_map(Result::ok).filter(|entry| entry.file_name() != *format!("{MANIFEST}.tmp"))
            }
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(There::Nothing),
            Err(e) if e.kind() == io::ErrorKind::NotADirectory => {
                return Err(refused("is a file, not a folder".into()));
            }
            Err(e) => return Err(FetchError::io("read", out, e)),
        };
        let Some(first) = entries.next() else { return Ok(There::Nothing) };
        let Some(manifest) = Manifest::read(out)? else {
            let first = text::plain(&first.file_name().to_string_lossy(), 200);
            return Err(refused(format!(
                "already holds something that was not fetched by lungfish ({first} is in it): choose another folder \
                 with --out (if it is the data set itself, train on it as it is)"
            )));
        };
        let wrong_version = set.version.is_some() && set.version != manifest.version;
        if manifest.source != set.to_string() || wrong_version {
            let version = manifest.version.map_or("the newest version of its day".into(), |v| format!("version {v}"));
            let source = text::plain(&manifest.source, 200);
            return Err(refused(format!("holds {source}, {version}: choose another folder with --out")));
        }
        let differences = manifest.compare(out, observer, stop)?;
        if !differences.changed.is_empty() {
            let what = differences.changed_sentence();
            return Err(refused(format!(
                "is not overwritten: {what}; delete or move what changed, and the same command brings it anew"
            )));
        }
        if differences.missing > 0 {
            let (missing, all) = (text::count(differences.missing), text::count(manifest.files.len()));
            observer(&Event::Note(format!("{missing} of {all} files are missing in {}", text::path(out))));
            return Ok(There::Some(manifest));
        }
        Ok(There::All { files: manifest.files.len(), bytes: differences.bytes })
    }

    fn download(
        &self,
        set: &DataSet,
        archive: &Path,
        observer: &mut Observer<'_>,
        stop: &AtomicBool,
    ) -> Result<(), FetchError> {
        let found = match &self.identity {
            Identity::Environment => Credentials::of_kaggle(observer)?,
            Identity::Given(credentials) => credentials.clone(),
        };
        let host = self.base.host();
        let kaggles = host == "kaggle.com" || host.ends_with(".kaggle.com") || self.base.is_loopback();
        let credentials = match found {
            Some(credentials) if kaggles => {
                observer(&Event::Note(format!("asking with the credentials from {}", credentials.source())));
                Some(credentials)
            }
            Some(_) => {
                observer(&Event::Warning(format!("{host} is not Kaggle: your credentials are not sent to it")));
                None
            }
            None => {
                observer(&Event::Note("asking without credentials; public data sets need none".to_owned()));
                None
            }
        };
        let version = set.version.map(|version| format!("?datasetVersionNumber={version}")).unwrap_or_default();
        let (base, DataSet { owner, slug, .. }) = (&self.base, set);
        let address =
            format!("{}/api/v1/datasets/download/{owner}/{slug}{version}", base.to_string().trim_end_matches('/'));
        let request = Request {
            address: &address,
            credentials: credentials.as_ref(),
            target: archive,
            sha256: None,
            limit: Limits::default().bytes,
            advice: &|status| advice(status, set, credentials.as_ref()),
        };
        download(&self.client, &request, observer, stop).map(|_| ())
    }
}

/// What a person can do about a status of Kaggle's.
fn advice(status: u16, set: &DataSet, credentials: Option<&Credentials>) -> Option<String> {
    const GET_SOME: &str = "make a token at https://www.kaggle.com/settings and save it as ~/.kaggle/kaggle.json (or set \
                            KAGGLE_API_TOKEN)";
    let page = set.page();
    Some(match (status, credentials) {
        (401, Some(credentials)) => format!(
            "it does not know the credentials from {}: make new ones at https://www.kaggle.com/settings, or remove them, \
             since public data sets need none",
            credentials.source()
        ),
        (401, None) => format!("it wants to know who asks: {GET_SOME}"),
        (403, Some(credentials)) => format!(
            "accept the data set's terms at {page}, signed in as the owner of {}, or ask its author for access",
            credentials.source()
        ),
        (403, None) => format!("accept the data set's terms at {page}, signed in, and say who you are: {GET_SOME}"),
        (404, _) => {
            let version = set.version.map(|version| format!(" in version {version}")).unwrap_or_default();
            let private = if credentials.is_some() { "" } else { "; a private one needs credentials" };
            format!("it has no {set}{version} for you: does {page} open in a browser{private}?")
        }
        _ => return None,
    })
}

/// Puts what was unpacked into the folder: in one step where there is none yet, else file by file with the list first,
/// so that a kill in between leaves what the next fetch completes.
fn place(manifest: &Manifest, unpacked: &Path, out: &Path) -> Result<(), FetchError> {
    let moved = |to: &Path, error: io::Error| match error.kind() {
        io::ErrorKind::CrossesDevices => FetchError::Target {
            path: out.to_owned(),
            reason: "is a disk of its own: name a folder on it that is not there yet".to_owned(),
        },
        _ => FetchError::io("write", to, error),
    };
    if !out.exists() {
        manifest.write(unpacked)?;
        return fs::rename(unpacked, out).map_err(|e| moved(out, e));
    }
    manifest.write(out)?;
    for (_, path) in &manifest.files {
        let to = below(out, path);
        if to.exists() {
            continue;
        }
        if let Some(folder) = to.parent() {
            fs::create_dir_all(folder).map_err(|e| FetchError::io("create", folder, e))?;
        }
        fs::rename(below(unpacked, path), &to).map_err(|e| moved(&to, e))?;
    }
    Ok(())
}

/// The folder beside the target where everything lies until it is right; held by one process.
struct Staging {
    path: PathBuf,
    lock: Option<File>,
    /// Folders above it that were made for it, the highest first.
    made: Vec<PathBuf>,
    done: bool,
}

const LOCK: &str = "lock";

impl Staging {
    fn open(out: &Path) -> Result<Self, FetchError> {
        let (Some(parent), Some(name)) = (out.parent(), out.file_name()) else {
            return Err(FetchError::Target { path: out.to_owned(), reason: "is no folder to fetch into".to_owned() });
        };
        let mut made: Vec<PathBuf> = parent.ancestors().take_while(|p| !p.exists()).map(Path::to_owned).collect();
        made.reverse();
        let path = parent.join(format!(".{}.lungfish-fetch", name.to_string_lossy()));
        fs::create_dir_all(&path).map_err(|e| FetchError::io("create", &path, e))?;
        let mut staging = Staging { path, lock: None, made, done: false };
        let place = staging.path.join(LOCK);
        let lock = File::create(&place).map_err(|e| FetchError::io("write", &place, e))?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(FetchError::Busy { path: out.to_owned() }),
            // A file system without locks (some network ones) must not keep a person from fetching.
            Err(TryLockError::Error(e)) if e.kind() == io::ErrorKind::Unsupported => {}
            Err(TryLockError::Error(e)) => return Err(FetchError::io("lock", &place, e)),
        }
        staging.lock = Some(lock);
        Ok(staging)
    }
}

impl Drop for Staging {
    /// Leaves what the next fetch goes on from, and nothing else. What cannot be removed harms nobody.
    fn drop(&mut self) {
        if self.lock.take().is_none() {
            return;
        }
        if self.done {
            let _ = fs::remove_dir_all(&self.path);
            return;
        }
        let _ = fs::remove_dir_all(self.path.join("unpacked"));
        let _ = fs::remove_file(self.path.join(LOCK));
        // Only if it is empty, and then what was made for it.
        if fs::remove_dir(&self.path).is_ok() {
            let _ = self.made.iter().rev().try_for_each(fs::remove_dir);
        }
    }
}

fn remove_dir(path: &Path) -> Result<(), FetchError> {
    match fs::remove_dir_all(path) {
        Err(e) if e.kind() != io::ErrorKind::NotFound => Err(FetchError::io("clear", path, e)),
        _ => Ok(()),
    }
}

/// Where a path lies, so that `.` and `x/..` have a name and a place beside them.
fn absolute(path: &Path) -> Result<PathBuf, FetchError> {
    let absolute = std::path::absolute(path).map_err(|e| FetchError::io("find", path, e))?;
    // Links are followed as far as there is something.
    let there = absolute.ancestors().find_map(|above| Some((above, fs::canonicalize(above).ok()?)));
    Ok(match there {
        Some((above, real)) => match absolute.strip_prefix(above) {
            Ok(rest) if rest.as_os_str().is_empty() => real,
            Ok(rest) => real.join(rest),
            Err(_) => absolute,
        },
        None => absolute,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_data_sets() {
        let name = |text: &str| text.parse::<DataSet>().map(|set| set.to_string());
        let pneumonia = "kaggle:paultimothymooney/chest-xray-pneumonia";
        assert_eq!(DataSet::pneumonia().to_string(), pneumonia);
        for text in [
            pneumonia,
            "kaggle:paultimothymooney/chest-xray-pneumonia/",
            "https://www.kaggle.com/datasets/paultimothymooney/chest-xray-pneumonia",
            "https://www.kaggle.com/datasets/paultimothymooney/chest-xray-pneumonia/data?select=x",
        ] {
            assert_eq!(name(text).unwrap(), pneumonia, "{text}");
        }
        for text in [
            "kaggle:a",
            "kaggle:a/",
            "kaggle:/b",
            "kaggle:a/b/c",
            "kaggle:../b",
            "kaggle:a/..",
            "kaggle:a/b?x=1",
            "kaggle:a/b%2f",
            "pnuemonia",
            "",
            "https://evil.example/datasets/a/b",
        ] {
            let said = name(text).unwrap_err().to_string();
            assert!(said.contains("write kaggle:OWNER/SLUG"), "{said}");
        }
    }

    #[test]
    fn the_address_of_kaggle_is_https_or_here() {
        let at = |base| Kaggle::new(Client::new(Default::default()).unwrap(), base, Identity::Given(None));
        assert!(at(None).is_ok() && at(Some("http://127.0.0.1:1")).is_ok());
        let said = at(Some("http://mirror.example")).unwrap_err().to_string();
        assert_eq!(said, "LUNGFISH_KAGGLE_URL: only HTTPS is used (HTTP on this machine itself)");
    }
}
