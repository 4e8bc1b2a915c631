//! Films that somebody adds to the classes of a data set. They lie in a folder of their own, `added/CLASS/`, never among the data
//! set's; a table for a training names them by their whole paths.

use std::collections::HashSet;
use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};

use lungfish_data::display::escape;
use lungfish_data::{Channels, DecodeOptions, Decoding, Film, FilmFacts, Label, PatientRule, decode, folder};

use super::{Lesson, LessonFilm};
use crate::Error;
use crate::run_folder::write_atomically;

/// The folder of added films within that of a lesson.
const ADDED: &str = "added";
/// Bytes of a file's name, at most, so that every file system takes it.
const LONGEST: usize = 120;

impl Lesson {
    /// The same, with the films that were added in an earlier lesson, which lie in this folder.
    ///
    /// # Errors
    /// A folder that cannot be read.
    pub fn with_added(mut self, out: &Path) -> Result<Self, Error> {
        for class in 0..self.set.classes.len() {
            let of_class = self.folder_of(out, class);
            if !of_class.is_dir() {
                continue;
            }
            let mut films = folder::films_in(&of_class)?;
            films.sort();
            for path in films {
                let film = self.added_film(path, class)?;
                self.films.push(film);
            }
        }
        Ok(self)
    }

    /// Adds a film to a class: its bytes are written below `out`, under a name made of the one that it comes with. Its place among
    /// the films.
    ///
    /// # Errors
    /// Bytes that are no image that can be read ([`crate::ErrorKind::Damaged`]); a film that was added already
    /// ([`crate::ErrorKind::BadInput`]); a file that cannot be written.
    pub fn add(&mut self, out: &Path, class: usize, name: &str, bytes: &[u8]) -> Result<usize, Error> {
        let options = DecodeOptions { channels: Channels::Gray, decoding: Decoding::DEFAULT };
        decode(bytes, options).map_err(|reason| Error::damaged(format!("the image cannot be read: {reason}")))?;
        if let Some(same) = self.added_before(bytes) {
            let class = escape(&self.set.classes[same.class]);
            return Err(Error::refused(format!("{} was added to {class} already", escape(name_of(&same.path)))));
        }
        let folder = self.folder_of(out, class);
        fs::create_dir_all(&folder).map_err(|e| Error::io("create", &folder, e))?;
        let path = self.free(&folder, &safe(name));
        write_atomically(&path, bytes)?;
        let film = self.added_film(path, class)?;
        self.films.push(film);
        Ok(self.films.len() - 1)
    }

    /// Takes an added film away again: its file is deleted.
    ///
    /// # Errors
    /// A film that was not added ([`crate::ErrorKind::BadInput`]), a file that cannot be deleted.
    pub fn take_away(&mut self, at: usize) -> Result<(), Error> {
        let film = self.films.get_mut(at).filter(|film| film.added && !film.gone);
        let film = film.ok_or_else(|| Error::refused("that film was not added here: it is not taken away"))?;
        match fs::remove_file(&film.path) {
            Err(e) if e.kind() != std::io::ErrorKind::NotFound => Err(Error::io("delete", &film.path, e)),
            _ => {
                film.gone = true;
                Ok(())
            }
        }
    }

    fn added_before(&self, bytes: &[u8]) -> Option<&LessonFilm> {
        let long = bytes.len() as u64;
        let is_as_long = |film: &&LessonFilm| fs::metadata(&film.path).is_ok_and(|file| file.len() == long);
        let there = self.films.iter().filter(|film| film.added && !film.gone).filter(is_as_long);
        let is_same = |film: &&LessonFilm| fs::read(&film.path).is_ok_and(|other| other == bytes);
        there.into_iter().find(is_same)
    }

    /// A path in the folder that no file has, with a name that no other film has: a table may mean a film of the data set by the end
    /// of a path.
    fn free(&self, folder: &Path, name: &str) -> PathBuf {
        let (stem, extension) = parted(name);
        let numbered = |number: usize| match (number, extension) {
            (1, _) => name.to_owned(),
            (_, "") => format!("{stem} ({number})"),
            _ => format!("{stem} ({number}).{extension}"),
        };
        let taken: HashSet<&OsStr> = self.films.iter().filter_map(|film| film.path.file_stem()).collect();
        let paths = (1..).map(|number| folder.join(numbered(number)));
        let mut free = paths.filter(|path| path.file_stem().is_none_or(|stem| !taken.contains(stem)) && !path.exists());
        free.next().unwrap_or_else(|| folder.join(name))
    }

    /// Where added films of a class lie. A class whose name makes no good folder has a number.
    fn folder_of(&self, out: &Path, class: usize) -> PathBuf {
        let name = &self.set.classes[class];
        let folder = if safe(name) == *name { name.clone() } else { format!("class-{}", class + 1) };
        out.join(ADDED).join(folder)
    }

    /// A film that was added. Its patient is whom its header or name tells, else its own: nobody else is known to be it.
    fn added_film(&self, path: PathBuf, class: usize) -> Result<LessonFilm, Error> {
        let path = fs::canonicalize(&path).map_err(|e| Error::io("find", &path, e))?;
        let no_text = || Error::refused(format!("{} has a name that is no text", escape(&path)));
        let place = path.to_str().ok_or_else(no_text)?.to_owned();
        let label = Label::Class(class);
        let mut film = Film { path: path.clone(), label, group: String::new(), facts: FilmFacts::default() };
        let folder = path.parent().unwrap_or(&path).to_owned();
        PatientRule::default().tell(&folder, &mut film);
        let patient = film.patient().map_or_else(|| format!("added {}", name_of(&path)), str::to_owned);
        Ok(LessonFilm { path, class, split: None, added: true, gone: false, place, patient: Some(patient) })
    }
}

fn name_of(path: &Path) -> String {
    path.file_name().unwrap_or_default().to_string_lossy().into_owned()
}

/// A name that every file system takes, and that leads nowhere else: its last part without what is no letter, digit or one of a few
/// signs.
fn safe(name: &str) -> String {
    let last = name.rsplit(['/', '\\']).next().unwrap_or_default();
    let good = |c: char| if c.is_alphanumeric() || "._- ()".contains(c) { c } else { '_' };
    let mut safe: String = last.chars().map(good).collect();
    safe = safe.trim().trim_start_matches('.').trim_end_matches(['.', ' ']).to_owned();
    if safe.len() > LONGEST {
        let (stem, extension) = parted(&safe);
        let keep = LONGEST.saturating_sub(extension.len().min(12) + 1);
        let end = (0..=keep.min(stem.len())).rev().find(|end| stem.is_char_boundary(*end)).unwrap_or(0);
        let dotted = if extension.is_empty() || extension.len() > 12 { String::new() } else { format!(".{extension}") };
        safe = format!("{}{dotted}", &stem[..end]);
    }
    if safe.is_empty() { "film".to_owned() } else { safe }
}

fn parted(name: &str) -> (&str, &str) {
    name.rsplit_once('.').filter(|(stem, _)| !stem.is_empty()).unwrap_or((name, ""))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ErrorKind;
    use crate::lesson::{Proposal, Proposals};

    #[test]
    fn names_lead_nowhere_else() {
        for (name, made) in [
            ("person1_bacteria_2.jpeg", "person1_bacteria_2.jpeg"),
            ("../../etc/passwd", "passwd"),
            (r"C:\films\a.png", "a.png"),
            ("..", "film"),
            ("", "film"),
            (".hidden.png", "hidden.png"),
            ("a\0b\n<c>.png", "a_b__c_.png"),
            ("Lunge (3) ü.png", "Lunge (3) ü.png"),
        ] {
            assert_eq!(safe(name), made);
        }
        let long = safe(&format!("{}.png", "ä".repeat(200)));
        assert!(long.len() <= LONGEST && long.ends_with("ä.png"), "{long}");
        assert!(safe(&"x.".repeat(300)).len() <= LONGEST);
    }

    #[test]
    fn films_are_added_to_a_folder_of_their_own_and_taken_away() {
        let dir = tempfile::tempdir().unwrap();
        let (data, out) = (dir.path().join("films"), dir.path().join("out"));
        lungfish_data::synth(&data, 30, 1).unwrap();
        let mut lesson = Lesson::open(&data).unwrap();
        let film = fs::read(&lesson.films()[0].path).unwrap();
        let said = |error: Error| (error.kind(), error.to_string());

        let at = lesson.add(&out, 1, "../person7_virus_1.png", &film).unwrap();
        assert_eq!(at, 30);
        let added = lesson.films()[at].clone();
        assert!(added.added && added.path.ends_with("out/added/PNEUMONIA/person7_virus_1.png"), "{added:?}");
        assert_eq!((fs::read(&added.path).unwrap(), added.patient.as_deref()), (film.clone(), Some("person7_virus")));
        let (kind, text) = said(lesson.add(&out, 0, "other.png", &film).unwrap_err());
        assert_eq!((kind, text.as_str()), (ErrorKind::BadInput, "person7_virus_1.png was added to PNEUMONIA already"));
        let (kind, text) = said(lesson.add(&out, 0, "other.png", b"no film").unwrap_err());
        assert!(kind == ErrorKind::Damaged && text.starts_with("the image cannot be read"), "{text}");
        assert_eq!(lesson.take_away(3).unwrap_err().kind(), ErrorKind::BadInput);

        let other = fs::read(&lesson.films()[1].path).unwrap();
        let second = lesson.add(&out, 0, "person7_virus_1.png", &other).unwrap();
        let third = fs::read(&lesson.films()[2].path).unwrap();
        let third = lesson.add(&out, 0, "person7_virus_1.png", &third).unwrap();
        assert!(lesson.films()[third].path.ends_with("NORMAL/person7_virus_1 (3).png"));

        // A training takes them, and a later lesson finds them again.
        let proposals = Proposals::from([(second, Proposal::Class(1))]);
        let table = dir.path().join("labels.csv");
        lesson.write_table(&proposals, &table).unwrap();
        let reading = crate::source::Reading { labels: Some(table), ..crate::source::Reading::default() };
        let set = crate::source::open(&data, &reading).unwrap();
        assert_eq!(set.layout.len(), 33);
        let film = |at: usize| set.layout.films().find(|(_, film)| film.path == lesson.films()[at].path).unwrap().1;
        assert_eq!((film(at).label.class(), film(second).label.class()), (Some(1), Some(1)));
        assert_eq!(film(at).patient(), Some("person7_virus"));
        let again = Lesson::open(&data).unwrap().with_added(&out).unwrap();
        let mut paths: Vec<_> = again.films()[30..].iter().map(|film| (film.class, film.path.clone())).collect();
        paths.sort();
        let mut there: Vec<_> = lesson.films()[30..].iter().map(|film| (film.class, film.path.clone())).collect();
        there.sort();
        assert_eq!(paths, there);

        lesson.take_away(second).unwrap();
        assert!(lesson.films()[second].gone && !lesson.films()[second].path.exists());
        assert_eq!(lesson.take_away(second).unwrap_err().kind(), ErrorKind::BadInput);
        assert!(!lesson.proposals(&proposals).contains("person7"), "what is gone has no proposal");
        // A film with the name of one of the data set, in folders of one class each, is another film.
        let flat = dir.path().join("flat");
        for class in ["NORMAL", "PNEUMONIA"] {
            fs::create_dir_all(flat.join(class)).unwrap();
            for film in folder::films_in(&data.join("train").join(class)).unwrap() {
                fs::copy(&film, flat.join(class).join(film.file_name().unwrap())).unwrap();
            }
        }
        let mut namesakes = Lesson::open(&flat).unwrap();
        let name = name_of(&namesakes.films()[0].path);
        let at = namesakes.add(&dir.path().join("out-flat"), 0, &name, &other).unwrap();
        assert_ne!(name_of(&namesakes.films()[at].path), name);
        let table = dir.path().join("flat.csv");
        namesakes.write_table(&Proposals::new(), &table).unwrap();
        let reading = crate::source::Reading { labels: Some(table), ..crate::source::Reading::default() };
        let set = crate::source::open(&flat, &reading).unwrap();
        assert_eq!(set.layout.len(), namesakes.films().len());

        let before = lesson.films().len();
        assert_eq!(lesson.add(&out, 1, "new.png", &other).unwrap(), before, "places are not given anew");
        assert_eq!(lungfish_data::folder::films_in(&data).unwrap().len(), 30, "the data set is as it was");
    }
}
