//! The folder of one run: who may use it, and how its files are written so that a kill never leaves half of one.

use std::fs::{self, File, TryLockError};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use lungfish_data::{ContentHash, FilmCache};
use serde::{Deserialize, Serialize};

use crate::{Error, Recipe};

/// The run's recipe, every default written out.
pub(crate) const RECIPE: &str = "recipe.toml";
/// Path, label, group, split and content hash of every film.
pub(crate) const SPLIT: &str = "split.csv";
/// One line an epoch.
pub(crate) const LOG: &str = "log.jsonl";
/// The model of the best epoch.
pub(crate) const BEST: &str = "best.safetensors";
/// All that going on needs.
pub(crate) const LAST: &str = "last.safetensors";
/// Decoded films, while the run trains.
pub(crate) const CACHE: &str = "films.cache";
/// Where the films are and what was asked for, until there is a checkpoint that knows.
pub(crate) const START: &str = "start.json";
/// Loss and learning rate of each step of a range test.
pub(crate) const LR_RANGE: &str = "lr.csv";
/// Held by the process that trains.
pub(crate) const LOCK: &str = ".lock";

/// Takes the lock of a folder in which this process does something (a word such as "training"); it goes with the value.
pub(crate) fn hold(folder: &Path, doing: &str) -> Result<File, Error> {
    let lock = folder.join(LOCK);
    let file = File::options()
        .create(true)
        .truncate(false)
        .write(true)
        .open(&lock)
        .map_err(|e| Error::io("write", &lock, e))?;
    // A program that this one starts (to ask for GPUs) has the lock of a run that is just over until it is itself.
    let mut held = file.try_lock();
    for _ in 0..20 {
        if !matches!(held, Err(TryLockError::WouldBlock)) {
            break;
        }
        std::thread::sleep(Duration::from_millis(25));
        held = file.try_lock();
    }
    match held {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => {
            Err(Error::refused(format!("another process is {doing} in {}", shown(folder))))
        }
        // A file system without locks (some network ones) must not keep a person from it.
        Err(TryLockError::Error(e)) if e.kind() == io::ErrorKind::Unsupported => Ok(file),
        Err(TryLockError::Error(e)) => Err(Error::io("lock", &lock, e)),
    }
}

/// A run folder that this process holds; the lock goes with the value (and with the process, however it dies).
#[derive(Debug)]
pub(crate) struct RunFolder {
    path: PathBuf,
    /// Decoded films, see [`crate::film_cache`].
    pub(crate) cache: Option<Arc<FilmCache>>,
    _lock: File,
}

impl RunFolder {
    /// Takes a folder for a new run: absent (it is made) or empty.
    pub(crate) fn create(path: &Path) -> Result<Self, Error> {
        match fs::read_dir(path) {
            Ok(mut entries) => {
                if path.join(RECIPE).exists() {
                    return Err(Error::refused(format!(
                        "{} already holds a run: go on with it with --resume, or choose another folder",
                        shown(path)
                    )));
                }
                if let Some(other) = foreign(&mut entries) {
                    return Err(Error::refused(format!(
                        "{} is not empty ({} is in it): choose a new folder",
                        shown(path),
                        lungfish_data::display::escape(other)
                    )));
                }
            }
            Err(e) if e.kind() == io::ErrorKind::NotFound => {
                fs::create_dir_all(path).map_err(|e| Error::io("create", path, e))?;
            }
            Err(e) => return Err(Error::io("open the run folder", path, e)),
        }
        Self::hold(path)
    }

    /// Takes the folder of a run to go on with it.
    pub(crate) fn open(path: &Path) -> Result<Self, Error> {
        let has_run = match fs::read_dir(path) {
            // One that was killed before it wrote its recipe has nothing to lose.
            Ok(mut entries) => path.join(RECIPE).exists() || foreign(&mut entries).is_none(),
            Err(_) => false,
        };
        if !has_run {
            return Err(Error::refused(format!("there is no run to resume in {}", shown(path))));
        }
        Self::hold(path)
    }

    fn hold(path: &Path) -> Result<Self, Error> {
        Ok(RunFolder { path: path.to_owned(), cache: None, _lock: hold(path, "training")? })
    }

    /// The folder.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// A file in it.
    pub(crate) fn file(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }

    /// Writes a file in it, whole or not at all. Where that fails, decoded films, which can be made again, make room for
    /// it.
    pub(crate) fn write(&self, name: &str, bytes: &[u8]) -> Result<(), Error> {
        let path = self.file(name);
        match write_atomically(&path, bytes) {
            Err(_) if self.cache.as_ref().is_some_and(|cache| cache.discard()) => write_atomically(&path, bytes),
            written => written,
        }
    }

    /// The recipe of the run; none if it was killed before it wrote one.
    pub(crate) fn recipe(&self) -> Result<Option<Recipe>, Error> {
        let path = self.file(RECIPE);
        if path.exists() { Ok(Some(Recipe::read(&path)?)) } else { Ok(None) }
    }

    /// Removes a file in it; one that is not there is removed already.
    pub(crate) fn remove(&self, name: &str) -> Result<(), Error> {
        let path = self.file(name);
        match fs::remove_file(&path) {
            Err(e) if e.kind() != io::ErrorKind::NotFound => Err(Error::io("remove", &path, e)),
            _ => Ok(()),
        }
    }

    /// Adds lines to the log.
    pub(crate) fn append_log(&self, line: &str) -> Result<(), Error> {
        let path = self.file(LOG);
        let append = || {
            let mut file = File::options().create(true).append(true).open(&path)?;
            file.write_all(format!("{line}\n").as_bytes())?;
            file.sync_data()
        };
        append().map_err(|e| Error::io("write", &path, e))
    }

    /// Makes the log hold these lines and no other.
    pub(crate) fn set_log(&self, lines: &[String]) -> Result<(), Error> {
        let text: String = lines.iter().map(|line| format!("{line}\n")).collect();
        match fs::read(self.file(LOG)) {
            Ok(there) if there == text.as_bytes() => Ok(()),
            Err(e) if e.kind() == io::ErrorKind::NotFound && lines.is_empty() => Ok(()),
            _ => self.write(LOG, text.as_bytes()),
        }
    }
}

/// What a run was asked for, written before anything else.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Start {
    /// The folder of the films.
    pub data: PathBuf,
    /// The recipe, every default written out.
    pub recipe: String,
}

impl Start {
    pub(crate) fn write(&self, run: &RunFolder) -> Result<(), Error> {
        let json = serde_json::to_vec(self).map_err(|e| Error::refused(format!("cannot write {START}: {e}")))?;
        run.write(START, &json)
    }

    /// Reads it; none in the folder of an older version. A recipe that is another one since is refused.
    pub(crate) fn read(run: &RunFolder, recipe: &Recipe) -> Result<Option<Self>, Error> {
        let path = run.file(START);
        let bytes = match fs::read(&path) {
            Ok(bytes) => bytes,
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(e) => return Err(Error::io("read", &path, e)),
        };
        let start: Start =
            serde_json::from_slice(&bytes).map_err(|e| Error::refused(format!("{} is damaged: {e}", shown(&path))))?;
        let recipe_there = run.file(RECIPE).exists();
        match Recipe::from_toml(&start.recipe)?.differences(recipe).first() {
            Some(first) if recipe_there => Err(Error::refused(format!(
                "{} is not what the run was started with ({} is {} there and was {}): put it back, or start another run",
                shown(&run.file(RECIPE)),
                first.key,
                first.theirs,
                first.ours
            ))),
            _ => Ok(Some(start)),
        }
    }
}

/// Refuses a split file whose content is another than it was; `None` is of an older version, which did not keep it.
pub(crate) fn check_split_file(path: &Path, hash: Option<&str>) -> Result<(), Error> {
    let Some(hash) = hash else { return Ok(()) };
    let bytes = fs::read(path).map_err(|e| Error::io("read", path, e))?;
    if ContentHash::of(&bytes).to_string() == hash {
        return Ok(());
    }
    Err(Error::refused(format!(
        "{} is not as the run wrote it (cut, or changed): which film is on which split is no longer known",
        shown(path)
    )))
}

/// Something in a folder that no run leaves before its recipe: beyond the lock and the beginning of that recipe.
fn foreign(entries: &mut fs::ReadDir) -> Option<std::ffi::OsString> {
    entries
        .flatten()
        .map(|e| e.file_name())
        .find(|name| name != LOCK && name != START && *name != *temporary(RECIPE) && *name != *temporary(START))
}

fn shown(path: &Path) -> String {
    lungfish_data::display::escape(path).to_string()
}

fn temporary(name: &str) -> String {
    format!(".{name}.tmp")
}

/// Writes beside the file, syncs, renames and syncs the folder.
pub(crate) fn write_atomically(path: &Path, bytes: &[u8]) -> Result<(), Error> {
    let name = path.file_name().map(|n| n.to_string_lossy().into_owned()).unwrap_or_default();
    let beside = path.with_file_name(temporary(&name));
    let write = || {
        let mut file = File::create(&beside)?;
        file.write_all(bytes)?;
        file.sync_all()?;
        drop(file);
        fs::rename(&beside, path)?;
        // On Windows a folder cannot be opened to be synced; a rename is durable there once it returns.
        #[cfg(unix)]
        if let Some(folder) = path.parent() {
            let folder = if folder.as_os_str().is_empty() { Path::new(".") } else { folder };
            File::open(folder)?.sync_all()?;
        }
        Ok(())
    };
    write().map_err(|e| {
        // A disk that is full gets its room back; if that fails too, the first error is the one to tell.
        let _ = fs::remove_file(&beside);
        Error::io("write", path, e)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_folder_is_new_or_resumed_and_held_by_one() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("deep/run");
        let run = RunFolder::create(&path).unwrap();
        let second = RunFolder::open(&path).unwrap_err().to_string();
        assert!(second.contains("another process is training in"), "{second}");
        assert_eq!(run.recipe().unwrap(), None);
        run.write(RECIPE, Recipe::default().to_toml().as_bytes()).unwrap();
        assert_eq!(run.recipe().unwrap(), Some(Recipe::default()));
        drop(run);
        let existing = RunFolder::create(&path).unwrap_err().to_string();
        assert!(existing.contains("--resume"), "{existing}");
        RunFolder::open(&path).unwrap();
    }

    #[test]
    fn foreign_folders_and_files_are_refused() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("thesis.doc"), "x").unwrap();
        assert!(RunFolder::create(dir.path()).unwrap_err().to_string().contains("thesis.doc"));
        assert!(RunFolder::create(&dir.path().join("thesis.doc")).is_err());
        assert!(RunFolder::open(dir.path()).unwrap_err().to_string().contains("no run to resume"));
        assert!(!dir.path().join(LOCK).exists(), "nothing is left in a foreign folder");
        assert!(RunFolder::open(&dir.path().join("absent")).unwrap_err().to_string().contains("no run to resume"));
    }

    #[test]
    fn the_log_is_cut_back() {
        let dir = tempfile::tempdir().unwrap();
        let run = RunFolder::create(&dir.path().join("run")).unwrap();
        let lines = ["{\"a\":1}".to_owned(), "{\"a\":2}".to_owned()];
        lines.iter().for_each(|l| run.append_log(l).unwrap());
        run.append_log("{\"a\":").unwrap();
        run.set_log(&lines).unwrap();
        assert_eq!(fs::read_to_string(run.file(LOG)).unwrap(), "{\"a\":1}\n{\"a\":2}\n");
    }

    #[test]
    fn a_failed_write_leaves_the_old_file_and_no_other() {
        let dir = tempfile::tempdir().unwrap();
        let run = RunFolder::create(&dir.path().join("run")).unwrap();
        run.write(BEST, b"old").unwrap();
        fs::create_dir(run.file(".best.safetensors.tmp")).unwrap();
        assert!(run.write(BEST, b"new").unwrap_err().to_string().contains("best.safetensors"));
        assert_eq!(fs::read(run.file(BEST)).unwrap(), b"old");
    }
}
