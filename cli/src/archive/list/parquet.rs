//! Lists in Parquet.

use std::fs::File;
use std::sync::Arc;

use parquet::errors::ParquetError;
use parquet::file::reader::{FileReader, SerializedFileReader};
use parquet::record::Field;
use parquet::schema::types::Type;

use super::Item;
use super::fields::{Fields, is_known};
use latentbit_media::{MediaError, MediaErrorKind};

/// The clips of a list. Only columns that mean something are read: others may hold whole videos.
pub fn add(fields: &Fields<'_>, file: File, items: &mut Vec<Item>) -> anyhow::Result<()> {
    let failed = |error: ParquetError| {
        MediaError::new(
            MediaErrorKind::Invalid,
            fields.place,
            format!("expected a Parquet file that can be read: {error}"),
        )
    };
    let reader = SerializedFileReader::new(file).map_err(failed)?;
    let schema = reader.metadata().file_metadata().schema().clone();
    let known = schema.get_fields().iter().filter(|field| is_known(field.name()));
    let projection = Type::group_type_builder(schema.name())
        .with_fields(known.map(Arc::clone).collect())
        .build()
        .map_err(failed)?;
    let rows = reader.get_row_iter(Some(projection)).map_err(failed)?;
    for (number, row) in rows.enumerate() {
        let row = row.map_err(failed)?;
        let value = |name: &str| {
            let (_, field) = row.get_column_iter().find(|(column, _)| *column == name)?;
            match field {
                Field::Null => None,
                Field::Str(text) => Some(text.clone()),
                Field::Bytes(bytes) => bytes.as_utf8().ok().map(str::to_owned),
                Field::Float(value) => Some(value.to_string()),
                Field::Double(value) => Some(value.to_string()),
                other => Some(other.to_string()),
            }
        };
        items.push(fields.item(&format!("row {number}"), value)?);
    }
    Ok(())
}
