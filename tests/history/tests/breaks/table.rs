//! What was seen, as a table, and what was wrong in it.

use std::fmt;

/// Rows and columns of short texts.
pub struct Table {
    title: String,
    columns: Vec<String>,
    rows: Vec<(String, Vec<String>)>,
    wrong: Vec<String>,
}

impl Table {
    pub fn new(title: impl Into<String>, columns: impl IntoIterator<Item = String>) -> Table {
        Table {
            title: title.into(),
            columns: columns.into_iter().collect(),
            rows: Vec::new(),
            wrong: Vec::new(),
        }
    }

    /// Adds what was seen of one thing under each fault: a text, and what was wrong.
    pub fn row(&mut self, name: &str, cells: Vec<(String, Option<String>)>) {
        for ((_, wrong), column) in cells.iter().zip(&self.columns) {
            if let Some(wrong) = wrong {
                self.wrong.push(format!("{name}, {column}: {wrong}"));
            }
        }
        self.rows.push((name.to_owned(), cells.into_iter().map(|(text, _)| text).collect()));
    }

    #[track_caller]
    pub fn assert(&self) {
        assert!(self.wrong.is_empty(), "{}{:#?}", self.title, self.wrong);
    }
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}\n", self.title)?;
        write!(f, "| |")?;
        self.rows.iter().try_for_each(|(name, _)| write!(f, " {name} |"))?;
        write!(f, "\n| --- |")?;
        self.rows.iter().try_for_each(|_| write!(f, " --- |"))?;
        for (number, column) in self.columns.iter().enumerate() {
            write!(f, "\n| {column} |")?;
            self.rows.iter().try_for_each(|(_, cells)| write!(f, " {} |", cells[number]))?;
        }
        writeln!(f)
    }
}
