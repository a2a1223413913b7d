//! The manifest: a row for each clip of the list, in Parquet.

use latentbit_media::text_of;
use std::fs::File;
use std::io::BufWriter;
use std::path::Path;
use std::sync::Arc;

use parquet::basic::{Compression, ConvertedType, LogicalType, Repetition, Type as Physical, ZstdLevel};
use parquet::data_type::{ByteArray, ByteArrayType, DoubleType, Int64Type};
use parquet::errors::{ParquetError, Result as ParquetResult};
use parquet::file::metadata::KeyValue;
use parquet::file::properties::WriterProperties;
use parquet::file::reader::{FileReader, SerializedFileReader};
use parquet::file::writer::{SerializedColumnWriter, SerializedFileWriter};
use parquet::record::{Field, Row as ParquetRow};
use parquet::schema::types::{Type, TypePtr};

use super::row::{COLUMNS, Cell, Column, ColumnKind, Row, cells};
use latentbit_media::{MediaError, MediaErrorKind};

/// Schema, as the file's metadata has it.
const SCHEMA: &str = "latentbit.manifest/1";

/// Rows of a row group.
const GROUP: usize = 1 << 14;

fn schema() -> ParquetResult<TypePtr> {
    let fields: ParquetResult<Vec<TypePtr>> =
        COLUMNS.iter().map(|column| field(column).map(Arc::new)).collect();
    let schema = Type::group_type_builder("manifest").with_fields(fields?);
    Ok(Arc::new(schema.build()?))
}

fn field(column: &Column) -> ParquetResult<Type> {
    let optional = Repetition::OPTIONAL;
    let primitive = |physical| Type::primitive_type_builder(column.name, physical).with_repetition(optional);
    match column.kind {
        ColumnKind::Text => primitive(Physical::BYTE_ARRAY)
            .with_logical_type(Some(LogicalType::String))
            .build(),
        ColumnKind::Int => primitive(Physical::INT64).build(),
        ColumnKind::Float => primitive(Physical::DOUBLE).build(),
        ColumnKind::Ints => {
            let element = Type::primitive_type_builder("element", Physical::INT64)
                .with_repetition(Repetition::REQUIRED)
                .build()?;
            let list = Type::group_type_builder("list")
                .with_repetition(Repetition::REPEATED)
                .with_fields(vec![Arc::new(element)])
                .build()?;
            Type::group_type_builder(column.name)
                .with_repetition(optional)
                .with_converted_type(ConvertedType::LIST)
                .with_logical_type(Some(LogicalType::List))
                .with_fields(vec![Arc::new(list)])
                .build()
        }
    }
}

/// Writes a manifest of `rows` into a new file, which messages call `place`.
pub fn write(
    file: &File,
    place: &str,
    rows: impl Iterator<Item = Result<Row, MediaError>>,
) -> anyhow::Result<()> {
    let failed = |error: ParquetError| MediaError::io(place, "write", error_of(error));
    let properties = WriterProperties::builder()
        .set_compression(Compression::ZSTD(ZstdLevel::default()))
        .set_created_by(format!("latentbit {}", env!("CARGO_PKG_VERSION")))
        .set_key_value_metadata(Some(vec![KeyValue::new("schema".to_owned(), SCHEMA.to_owned())]))
        .build();
    let mut writer = SerializedFileWriter::new(
        BufWriter::new(file),
        schema().map_err(failed)?,
        Arc::new(properties),
    )
    .map_err(failed)?;
    let mut group = Vec::new();
    let mut rows = rows.peekable();
    while let Some(row) = rows.next() {
        group.push(cells(&row?));
        if group.len() == GROUP || rows.peek().is_none() {
            write_group(&mut writer, &group).map_err(failed)?;
            group.clear();
        }
    }
    writer.close().map_err(failed)?;
    Ok(())
}

/// The system's error behind one of Parquet's.
fn error_of(error: ParquetError) -> std::io::Error {
    match error {
        ParquetError::External(error) => match error.downcast::<std::io::Error>() {
            Ok(error) => *error,
            Err(error) => std::io::Error::other(error),
        },
        other => std::io::Error::other(other),
    }
}

fn write_group<W: std::io::Write + Send>(
    writer: &mut SerializedFileWriter<W>,
    rows: &[Vec<Cell>],
) -> ParquetResult<()> {
    let mut group = writer.next_row_group()?;
    let mut index = 0;
    while let Some(mut column) = group.next_column()? {
        write_column(&mut column, rows.iter().filter_map(|row| row.get(index)))?;
        column.close()?;
        index += 1;
    }
    group.close()?;
    Ok(())
}

fn write_column<'a>(
    column: &mut SerializedColumnWriter<'_>,
    cells: impl Iterator<Item = &'a Cell>,
) -> ParquetResult<()> {
    // Parquet's definition and repetition levels: which values are there, and where lists begin.
    let (mut definitions, mut repetitions) = (Vec::new(), Vec::new());
    let (mut texts, mut ints, mut floats) = (Vec::new(), Vec::new(), Vec::new());
    let mut kind = None;
    for cell in cells {
        definitions.push(i16::from(*cell != Cell::Null));
        repetitions.push(0);
        match cell {
            Cell::Null => continue,
            Cell::Text(text) => texts.push(ByteArray::from(text.as_str())),
            Cell::Int(value) => ints.push(*value),
            Cell::Float(value) => floats.push(*value),
            Cell::Ints(values) => {
                ints.extend(values);
                definitions.pop();
                repetitions.pop();
                definitions.extend(std::iter::repeat_n(2, values.len()));
                repetitions.extend((0..values.len()).map(|at| i16::from(at > 0)));
            }
        }
        kind = Some(cell);
    }
    let definitions = Some(&definitions[..]);
    match (kind, column.untyped()) {
        (_, parquet::column::writer::ColumnWriter::ByteArrayColumnWriter(_)) => {
            column
                .typed::<ByteArrayType>()
                .write_batch(&texts, definitions, None)?;
        }
        (_, parquet::column::writer::ColumnWriter::DoubleColumnWriter(_)) => {
            column
                .typed::<DoubleType>()
                .write_batch(&floats, definitions, None)?;
        }
        (_, _) => {
            column
                .typed::<Int64Type>()
                .write_batch(&ints, definitions, Some(&repetitions))?;
        }
    }
    Ok(())
}

/// The rows of a manifest, as their cells in the order of [`COLUMNS`].
///
/// # Errors
/// Fails if the file is no manifest; a row fails if it cannot be read.
pub fn read(path: &Path) -> anyhow::Result<impl Iterator<Item = Result<Vec<Cell>, MediaError>>> {
    let place = text_of(path);
    let file = File::open(path).map_err(|error| MediaError::io(&place, "open", error))?;
    let broken = move |error: ParquetError| {
        let message = format!("expected a manifest in Parquet: {error}");
        MediaError::new(MediaErrorKind::Invalid, &place, message)
    };
    let reader = SerializedFileReader::new(file).map_err(&broken)?;
    let expected = schema().map_err(&broken)?;
    let found = reader.metadata().file_metadata().schema();
    if found.get_fields() != expected.get_fields() {
        let names = |schema: &Type| {
            let names = schema.get_fields().iter().map(|field| field.name().to_owned());
            names.collect::<Vec<_>>().join(", ")
        };
        let message = format!(
            "expected the columns {}, found {}",
            names(&expected),
            names(found)
        );
        return Err(broken(ParquetError::General(message)).into());
    }
    let rows = reader.into_iter();
    Ok(rows.map(move |row| row.map(|row| cells_of(&row)).map_err(&broken)))
}

fn cells_of(row: &ParquetRow) -> Vec<Cell> {
    row.get_column_iter()
        .map(|(_, field)| match field {
            Field::Str(text) => Cell::Text(text.clone()),
            Field::Long(value) => Cell::Int(*value),
            Field::Double(value) => Cell::Float(*value),
            Field::ListInternal(list) => Cell::Ints(
                list.elements()
                    .iter()
                    .filter_map(|value| match value {
                        Field::Long(value) => Some(*value),
                        _ => None,
                    })
                    .collect(),
            ),
            _ => Cell::Null,
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::super::row::{Location, Made, Outcome, Stored};
    use super::*;

    fn rows(count: u64) -> Vec<Row> {
        (0..count)
            .map(|index| Row {
                index,
                key: format!("key-{index}"),
                source: "a/ä.mp4".to_owned(),
                start: (index % 2 == 0).then_some(0.1),
                end: None,
                label: None,
                caption: (index % 3 == 0).then(|| "a, \"b\"\n".to_owned()),
                source_sha256: Some("ab".to_owned()),
                outcome: match index % 4 {
                    0 => Outcome::Failed("why".to_owned()),
                    1 => Outcome::Duplicate("key-0".to_owned()),
                    _ => Outcome::Done(Stored {
                        made: Made {
                            sha256: "cd".to_owned(),
                            bytes: 1 << 40,
                            bytes_beside: 0,
                            frames: 29,
                            width: 640,
                            height: 360,
                            fps: 29.97,
                            chunks: 2,
                            tokens_shape: [8, 45, 80],
                            bits: 36,
                            bundle_sha256: "ef".to_owned(),
                            psnr: (index % 4 == 2).then_some(31.25),
                        },
                        place: Location {
                            shard: "shard-000000.tar".to_owned(),
                            offset: 1024,
                            until: 9999,
                        },
                    }),
                },
            })
            .collect()
    }

    fn write(path: &Path, rows: impl Iterator<Item = Result<Row, MediaError>>) -> anyhow::Result<()> {
        super::write(&File::create(path)?, "manifest.parquet", rows)
    }

    #[test]
    fn rows_come_back() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("manifest.parquet");
        for count in [0, 1, 5, GROUP as u64 + 3] {
            let rows = rows(count);
            write(&path, rows.iter().cloned().map(Ok)).unwrap();
            let found: Vec<Vec<Cell>> = read(&path).unwrap().map(Result::unwrap).collect();
            let expected: Vec<Vec<Cell>> = rows.iter().map(cells).collect();
            assert_eq!(found, expected);
        }
        let first = std::fs::read(&path).unwrap();
        write(&path, rows(GROUP as u64 + 3).into_iter().map(Ok)).unwrap();
        assert_eq!(std::fs::read(&path).unwrap(), first);
    }

    #[test]
    fn other_files_are_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("manifest.parquet");
        std::fs::write(&path, b"PAR1 and nothing else PAR1").unwrap();
        assert!(read(&path).is_err());
        write(&path, rows(3).into_iter().map(Ok)).unwrap();
        let good = std::fs::read(&path).unwrap();
        for len in [0, 4, good.len() / 2, good.len() - 1] {
            std::fs::write(&path, &good[..len]).unwrap();
            let broken = read(&path).map_or(true, |rows| rows.into_iter().any(|row| row.is_err()));
            assert!(broken, "{len}");
        }
    }
}
