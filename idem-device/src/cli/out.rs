//! What commands print.

use std::io::{ErrorKind, Write as _};

use super::Failure;
use crate::answer::{Format, Object};
use crate::http::record;
use crate::look::Seen;

/// Prints a text. A reader that has gone away (`… | head`) has seen enough.
pub(super) fn print(text: &str) -> Result<(), Failure> {
    let mut out = std::io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(error) if error.kind() == ErrorKind::BrokenPipe => std::process::exit(0),
        done => Ok(done?),
    }
}

/// Prints names and values as one line of JSON.
pub(super) fn json(object: &Object) -> Result<(), Failure> {
    let mut text = json_text(object);
    text.push('\n');
    print(&text)
}

/// The same as text.
pub(super) fn json_text(object: &Object) -> String {
    let mut out = Vec::new();
    object.write(Format::Json, &mut out);
    // Only JSON is written, which is text.
    String::from_utf8_lossy(&out).into_owned()
}

/// A record with the names that the device's protocol has for it.
pub(super) fn record(seen: &Seen) -> Object {
    record::object(seen.token, &seen.record).flag("lease_over", seen.lease_over)
}

/// Rows under headings: each column as wide as it must be, the last one as it is. Columns of numbers stand right.
pub(super) fn table(headings: &[&str], right: &[bool], rows: &[Vec<String>]) -> String {
    let width = |column: usize| {
        let cells = rows.iter().filter_map(|row| row.get(column)).map(|cell| cell.chars().count());
        cells.chain([headings[column].len()]).max().unwrap_or_default()
    };
    let widths: Vec<usize> = (0..headings.len()).map(width).collect();
    let headings: Vec<String> = headings.iter().map(|heading| (*heading).to_owned()).collect();
    let mut text = String::new();
    for row in std::iter::once(&headings).chain(rows) {
        let start = text.len();
        for (column, cell) in row.iter().enumerate() {
            let width = widths[column];
            if column > 0 {
                text.push_str("  ");
            }
            if right[column] {
                text.push_str(&format!("{cell:>width$}"));
            } else {
                text.push_str(&format!("{cell:<width$}"));
            }
        }
        let end = text.trim_end().len().max(start);
        text.truncate(end);
        text.push('\n');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::table;

    #[test]
    fn columns_stand_under_their_headings() {
        let rows = [
            vec!["done".to_owned(), "7".into(), "größe".into()],
            vec!["interrupted".into(), "12".into(), String::new()],
        ];
        let text = table(&["STATE", "COUNT", "FUNCTION"], &[false, true, false], &rows);
        assert_eq!(text, "STATE        COUNT  FUNCTION\ndone             7  größe\ninterrupted     12\n");
    }
}
