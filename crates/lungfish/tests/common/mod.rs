//! Synthetic films and requests that the journeys share.
#![allow(dead_code, reason = "each journey uses its own part")]

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;

use lungfish::{Changes, Error, Event, Image, Silent, TrainOutcome, TrainRequest, Watch, train};
use lungfish_models::ModelFile;

/// A flag that nobody raises.
pub static GO: AtomicBool = AtomicBool::new(false);

/// A request with settings `key=value` over the defaults.
pub fn request(data: &Path, out: &Path, settings: &[&str]) -> TrainRequest {
    let mut changes = Changes::default();
    settings.iter().for_each(|s| changes.set(s).unwrap());
    let mut request = TrainRequest::new(data, out);
    request.changes = changes;
    request.workers = 2;
    request
}

/// A request with something changed.
pub fn changed(mut request: TrainRequest, change: impl FnOnce(&mut TrainRequest)) -> TrainRequest {
    change(&mut request);
    request
}

/// A request to go on with a run, without settings of its own.
pub fn resuming(data: &Path, run: &Path) -> TrainRequest {
    changed(request(data, run, &[]), |request| {
        request.resume = true;
        request.changes = Changes::default();
    })
}

/// Trains to the end, telling nobody.
pub fn trained(data: &Path, out: &Path, settings: &[&str]) -> TrainOutcome {
    train(&request(data, out, settings), &mut Watch::new(&mut Silent, &GO)).unwrap()
}

/// Trains and stops at the `at`th event of those that `counts`; true if it was stopped.
pub fn stopped_at(request: &TrainRequest, at: usize, counts: fn(&Event) -> bool) -> Result<bool, Error> {
    let stop = AtomicBool::new(false);
    let mut seen = 0;
    let mut observer = |event: &Event| {
        seen += usize::from(counts(event));
        if seen == at {
            stop.store(true, std::sync::atomic::Ordering::Relaxed);
        }
    };
    train(request, &mut Watch::new(&mut observer, &stop)).map(|outcome| outcome.stopped)
}

/// The log without what a clock gives.
pub fn log_without_times(run: &Path) -> Vec<serde_json::Value> {
    fs::read_to_string(run.join("log.jsonl"))
        .unwrap()
        .lines()
        .map(|line| {
            let mut record: serde_json::Value = serde_json::from_str(line).unwrap();
            let fields = record.as_object_mut().unwrap();
            assert!(fields.remove("seconds").unwrap().is_number());
            fields.remove("films_per_s").unwrap();
            record
        })
        .collect()
}

/// Every tensor of a run's checkpoint, bit for bit.
pub fn last_bits(run: &Path) -> Vec<(String, Vec<u32>)> {
    let file = ModelFile::read(&run.join("last.safetensors")).unwrap();
    file.tensors.into_iter().map(|(name, t)| (name, t.data.iter().map(|x| x.to_bits()).collect())).collect()
}

/// Asserts that two runs came to the very same end.
pub fn assert_same_run(a: &Path, b: &Path) {
    assert_eq!(log_without_times(a), log_without_times(b));
    assert!(last_bits(a) == last_bits(b), "last.safetensors differs");
    assert!(fs::read(a.join("best.safetensors")).unwrap() == fs::read(b.join("best.safetensors")).unwrap());
}

/// Copies a folder.
pub fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.path().is_dir() {
            copy(&entry.path(), &target);
        } else {
            fs::copy(entry.path(), target).unwrap();
        }
    }
}

/// Every film below a folder, by path.
pub fn films_below(folder: &Path) -> Vec<PathBuf> {
    lungfish_data::folder::films_in(folder).unwrap()
}

/// Draws `films` films as `root/{train,val,test}/{CLASS}`.
pub fn synthetic(root: &Path, films: usize) -> PathBuf {
    let data = root.join("films");
    lungfish_data::synth(&data, films, 3).unwrap();
    data
}

/// Writes a gray picture as BMP.
pub fn write_bmp(path: &Path, image: &Image) {
    let (width, height, offset) = (image.width as u32, image.height as u32, 54_u32);
    let padding = (4 - 3 * width % 4) % 4;
    let mut bytes = b"BM".to_vec();
    for word in [offset + (3 * width + padding) * height, 0, offset, 40, width, height, 1 | 24 << 16, 0, 0, 0, 0, 0, 0]
    {
        bytes.extend(word.to_le_bytes());
    }
    // From the bottom.
    let rows = image.pixels.chunks_exact(image.width).rev();
    for row in rows {
        bytes.extend(row.iter().flat_map(|value| [*value; 3]));
        bytes.resize(bytes.len() + padding as usize, 0);
    }
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, bytes).unwrap();
}

/// A file of `golden/data`.
pub fn golden(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../golden/data").join(name)
}

/// The header of a CSV file and its rows, as a reader of CSV has them, without the marks that are for spreadsheets.
pub fn csv_rows(file: &Path) -> (Vec<String>, Vec<Vec<String>>) {
    let text = |record: &csv::StringRecord| -> Vec<String> {
        record.iter().map(|cell| lungfish_data::display::uncell(cell).to_owned()).collect()
    };
    let mut reader = csv::Reader::from_path(file).unwrap();
    let head = text(reader.headers().unwrap());
    (head, reader.records().map(|record| text(&record.unwrap())).collect())
}

/// The names and types of a Parquet file's columns, and its rows, null being an empty text.
pub fn parquet_rows(file: &Path) -> (Vec<(String, String)>, Vec<Vec<String>>) {
    use parquet::file::reader::{FileReader, SerializedFileReader};
    use parquet::record::Field;
    let reader = SerializedFileReader::new(fs::File::open(file).unwrap()).unwrap();
    let schema = reader.metadata().file_metadata().schema_descr();
    let columns = schema.columns().iter();
    let columns = columns.map(|column| {
        let logical = column.logical_type_ref().map_or(String::new(), |logical| format!(" {logical:?}"));
        (column.name().to_owned(), format!("{}{logical}", column.physical_type()))
    });
    let text = |field: &Field| match field {
        Field::Null => String::new(),
        Field::Str(text) => text.clone(),
        Field::Double(number) => number.to_string(),
        Field::Long(number) => number.to_string(),
        other => panic!("{other:?}"),
    };
    let rows = reader.get_row_iter(None).unwrap();
    let rows = rows.map(|row| row.unwrap().get_column_iter().map(|(_, field)| text(field)).collect());
    (columns.collect(), rows.collect())
}

/// What a Parquet file says of itself.
pub fn parquet_facts(file: &Path) -> std::collections::BTreeMap<String, String> {
    use parquet::file::reader::{FileReader, SerializedFileReader};
    let reader = SerializedFileReader::new(fs::File::open(file).unwrap()).unwrap();
    let pairs = reader.metadata().file_metadata().key_value_metadata().unwrap();
    pairs.iter().map(|pair| (pair.key.clone(), pair.value.clone().unwrap())).collect()
}
