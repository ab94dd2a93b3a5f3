//! A million records in PostgreSQL.

use crate::table::Row;

pub fn rows() -> Vec<Row> {
    Vec::new()
}
