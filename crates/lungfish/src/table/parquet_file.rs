//! Tables as Parquet: the rows of a CSV file in columns with types, and where they come from as key-values.
//!
//! Text is UTF8, probabilities are DOUBLE, whole numbers INT64, and an empty cell is null. Pages are Snappy. Format: Apache
//! Parquet, as the crate `parquet` of arrow-rs writes it.

use std::io::Read;
use std::path::Path;
use std::str::FromStr;
use std::sync::Arc;

use lungfish_data::display::{escape, uncell};
use parquet::basic::{Compression, LogicalType, Repetition, Type as Physical};
use parquet::data_type::{ByteArray, ByteArrayType, DataType, DoubleType, Int64Type};
use parquet::errors::{ParquetError, Result as Parquet};
use parquet::file::metadata::KeyValue;
use parquet::file::properties::WriterProperties;
use parquet::file::reader::{FileReader, SerializedFileReader};
use parquet::file::writer::{SerializedFileWriter, SerializedRowGroupWriter};
use parquet::schema::types::{Type, TypePtr};

use super::{Column, Kind};
use crate::Error;
use crate::origin::Origin;
use crate::run_folder::write_atomically;

/// Rows that are held in memory and written together.
const ROWS: usize = 1 << 16;

/// Writes the rows of a CSV file, whole or not at all. The file is made in memory: a row takes about as many bytes as in
/// CSV.
///
/// # Errors
/// Rows that are not of these columns, or a file that cannot be written.
pub(super) fn write(to: &Path, csv: impl Read, columns: &[Column], origin: &Origin) -> Result<(), Error> {
    write_atomically(to, &bytes(to, csv, columns, origin, ROWS)?)
}

fn bytes(to: &Path, csv: impl Read, columns: &[Column], origin: &Origin, rows: usize) -> Result<Vec<u8>, Error> {
    let failed = |error: ParquetError| Error::refused(format!("cannot write {}: {error}", escape(to)));
    let facts = origin.key_values().into_iter().map(|(key, value)| KeyValue::new(key, value)).collect();
    let properties =
        WriterProperties::builder().set_compression(Compression::SNAPPY).set_key_value_metadata(Some(facts));
    let schema = schema(columns).map_err(failed)?;
    let mut writer = SerializedFileWriter::new(Vec::new(), schema, Arc::new(properties.build())).map_err(failed)?;
    let mut held = Held::new(columns, rows);
    let records = csv::ReaderBuilder::new().flexible(true).from_reader(csv).into_records();
    for (number, record) in records.enumerate() {
        let wrong = |what: String| Error::damaged(format!("row {} of {} {what}", number + 1, escape(to)));
        let record = record.map_err(|error| wrong(format!("cannot be read: {error}")))?;
        if record.len() != columns.len() {
            return Err(wrong(format!("has {} cells and not {}", record.len(), columns.len())));
        }
        for (column, cell) in held.columns.iter_mut().zip(&record) {
            column.add(cell).map_err(|()| wrong(format!("holds {} where a number is", escape(cell))))?;
        }
        held.rows += 1;
        if held.rows == rows {
            held.write(&mut writer).map_err(failed)?;
        }
    }
    if held.rows > 0 {
        held.write(&mut writer).map_err(failed)?;
    }
    writer.into_inner().map_err(failed)
}

fn schema(columns: &[Column]) -> Parquet<TypePtr> {
    let field = |column: &Column| {
        let (physical, logical) = match column.kind {
            Kind::Text => (Physical::BYTE_ARRAY, Some(LogicalType::String)),
            Kind::Number => (Physical::DOUBLE, None),
            Kind::Whole => (Physical::INT64, None),
        };
        let field = Type::primitive_type_builder(&column.name, physical).with_repetition(Repetition::OPTIONAL);
        Ok(Arc::new(field.with_logical_type(logical).build()?))
    };
    let fields = columns.iter().map(field).collect::<Parquet<_>>()?;
    Ok(Arc::new(Type::group_type_builder("schema").with_fields(fields).build()?))
}

/// Rows that are not written yet.
struct Held {
    columns: Vec<HeldColumn>,
    rows: usize,
}

/// The values of a column that are no nulls, and for each row whether it has one.
enum HeldColumn {
    Text(Vec<ByteArray>, Vec<i16>),
    Number(Vec<f64>, Vec<i16>),
    Whole(Vec<i64>, Vec<i16>),
}

impl Held {
    fn new(columns: &[Column], rows: usize) -> Self {
        let column = |column: &Column| match column.kind {
            Kind::Text => HeldColumn::Text(Vec::new(), Vec::with_capacity(rows)),
            Kind::Number => HeldColumn::Number(Vec::new(), Vec::with_capacity(rows)),
            Kind::Whole => HeldColumn::Whole(Vec::new(), Vec::with_capacity(rows)),
        };
        Held { columns: columns.iter().map(column).collect(), rows: 0 }
    }

    /// Writes all of it as a group of rows, and holds nothing then.
    fn write(&mut self, writer: &mut SerializedFileWriter<Vec<u8>>) -> Parquet<()> {
        let mut group = writer.next_row_group()?;
        for column in &mut self.columns {
            match column {
                HeldColumn::Text(values, there) => write_column::<ByteArrayType>(&mut group, values, there)?,
                HeldColumn::Number(values, there) => write_column::<DoubleType>(&mut group, values, there)?,
                HeldColumn::Whole(values, there) => write_column::<Int64Type>(&mut group, values, there)?,
            }
        }
        group.close()?;
        self.rows = 0;
        Ok(())
    }
}

impl HeldColumn {
    /// A cell of a CSV file; an error where it is no number.
    fn add(&mut self, cell: &str) -> Result<(), ()> {
        match self {
            HeldColumn::Text(values, there) => push(values, there, cell, |cell| Ok(uncell(cell).into())),
            HeldColumn::Number(values, there) => push(values, there, cell, parsed),
            HeldColumn::Whole(values, there) => push(values, there, cell, parsed),
        }
    }
}

fn parsed<T: FromStr>(cell: &str) -> Result<T, ()> {
    cell.parse().map_err(|_| ())
}

fn push<T>(
    values: &mut Vec<T>,
    there: &mut Vec<i16>,
    cell: &str,
    value: impl Fn(&str) -> Result<T, ()>,
) -> Result<(), ()> {
    if !cell.is_empty() {
        values.push(value(cell)?);
    }
    there.push(i16::from(!cell.is_empty()));
    Ok(())
}

fn write_column<T: DataType>(
    group: &mut SerializedRowGroupWriter<'_, Vec<u8>>,
    values: &mut Vec<T::T>,
    there: &mut Vec<i16>,
) -> Parquet<()> {
    // The schema has as many columns as are held.
    if let Some(mut column) = group.next_column()? {
        column.typed::<T>().write_batch(values.as_slice(), Some(there.as_slice()), None)?;
        column.close()?;
    }
    values.clear();
    there.clear();
    Ok(())
}

/// As [`super::of_parquet`].
pub(super) fn origin_of(file: &Path, like: &Origin) -> Result<(Origin, usize), Error> {
    let open = std::fs::File::open(file).map_err(|e| Error::io("read", file, e))?;
    let reader = SerializedFileReader::new(open)
        .map_err(|error| Error::damaged(format!("{} is no Parquet file that can be read: {error}", escape(file))))?;
    let about = reader.metadata().file_metadata();
    let pairs = about.key_value_metadata().into_iter().flatten();
    let pairs: Vec<(String, String)> =
        pairs.map(|pair| (pair.key.clone(), pair.value.clone().unwrap_or_default())).collect();
    let rows = usize::try_from(about.num_rows()).unwrap_or(0);
    Ok((Origin::from_key_values(&pairs, like, file)?, rows))
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use parquet::record::Field;

    use super::*;
    use crate::origin::origin_for_tests;

    fn columns() -> Vec<Column> {
        let kinds = [("path", Kind::Text), ("A.b", Kind::Number), ("row", Kind::Whole), ("=e", Kind::Text)];
        kinds.map(|(name, kind)| Column::new(name, kind)).to_vec()
    }

    /// Each cell as the crate's own reader has it; none for null.
    fn cells(bytes: &[u8]) -> Vec<Vec<Option<String>>> {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(bytes).unwrap();
        let reader = SerializedFileReader::new(file).unwrap();
        let cell = |field: &Field| match field {
            Field::Null => None,
            Field::Str(text) => Some(text.clone()),
            Field::Double(number) => Some(number.to_string()),
            Field::Long(number) => Some(number.to_string()),
            other => panic!("{other:?}"),
        };
        let rows = reader.get_row_iter(None).unwrap();
        rows.map(|row| row.unwrap().get_column_iter().map(|(_, field)| cell(field)).collect()).collect()
    }

    #[test]
    fn what_is_read_back_is_what_the_csv_says() {
        let csv = "path,A.b,row,'=e\n\
                   \"'=cmd,x \"\"1\"\".png\",0.1,2,\n\
                   röntgen.png,1e-300,-7,''quoted\n\
                   c.png,0.30000000000000004,9007199254740993,\"cut, off\"\n\
                   d.png,,,-\n";
        let some = |text: &str| Some(text.to_owned());
        let expected = [
            [some("=cmd,x \"1\".png"), some("0.1"), some("2"), None],
            [some("röntgen.png"), some(&1e-300_f64.to_string()), some("-7"), some("'quoted")],
            [some("c.png"), some("0.30000000000000004"), some("9007199254740993"), some("cut, off")],
            [some("d.png"), None, None, some("-")],
        ];
        // In one group of rows, and in several with a smaller one at the end.
        for rows in [ROWS, 4, 3, 1] {
            let made =
                |csv: &str| bytes(Path::new("x"), csv.as_bytes(), &columns(), &origin_for_tests(), rows).unwrap();
            assert_eq!(cells(&made(csv)), expected, "{rows}");
            assert!(made(csv) == made(csv), "the same bytes from the same rows");
        }
    }

    #[test]
    fn a_file_says_where_it_comes_from() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("x.parquet");
        let ours = origin_for_tests();
        write(&path, "path,A.b,row,e\na,1,2,b\nc,1,2,\n".as_bytes(), &columns(), &ours).unwrap();
        let (theirs, rows) = origin_of(&path, &ours).unwrap();
        assert_eq!((rows, theirs.model_hash.as_str(), theirs.unreadable), (2, ours.model_hash.as_str(), Some(3)));
        let whole = std::fs::read(&path).unwrap();
        for end in [0, 3, 4, whole.len() / 2, whole.len() - 1] {
            std::fs::write(&path, &whole[..end]).unwrap();
            let error = origin_of(&path, &ours).unwrap_err().to_string();
            assert!(error.contains("is no Parquet file that can be read: "), "{error}");
        }
    }

    #[test]
    fn rows_of_other_columns_are_refused() {
        let error = |csv: &str| {
            let made = bytes(Path::new("x.parquet"), csv.as_bytes(), &columns(), &origin_for_tests(), ROWS);
            made.unwrap_err().to_string()
        };
        assert_eq!(error("path,A.b,row,e\na,1,2,b\na,x,2,b\n"), "row 2 of x.parquet holds x where a number is");
        assert_eq!(error("path,A.b,row,e\na,1,2\n"), "row 1 of x.parquet has 3 cells and not 4");
    }
}
