//! `idem stats`: how many records there are, by function and state.

use clap::Args;
use idem::store::Store as _;

use super::at::{At, name};
use super::{Failure, out};
use crate::answer::Object;
use crate::look::{Counts, Estimated, Tally, tally, words};

#[derive(Debug, Args)]
pub(super) struct Stats {
    /// Count about so many records; if there are more, the numbers are estimated from these.
    #[arg(long, default_value_t = 100_000, value_name = "COUNT")]
    count: u64,
    #[command(flatten)]
    at: At,
}

impl Stats {
    pub(super) async fn run(self) -> Result<(), Failure> {
        let store = self.at.connect().await?;
        let tally = tally(&store, self.count, 1_000).await?;
        let durability = store.profile().durability;
        if self.at.json {
            let functions = tally.functions.iter();
            let functions = functions.map(|(function, counts)| {
                Object::new().shared("function", function).and(object(&tally, counts))
            });
            let said = Object::new()
                .text("store", name(&store).to_owned())
                .text("durability", durability.to_string())
                .flag("exact", tally.is_exact())
                .number("counted", tally.counted);
            let all = object(&tally, &tally.all);
            return out::json(&said.object("all", Some(all)).list("functions", functions.collect()));
        }
        out::print(&format!("{}, durability class {durability}\n\n{}", name(&store), table(&tally)))?;
        if !tally.is_exact() {
            out::print(&format!(
                "\nNumbers with ≈ are estimated from {} records: the first ones in the order of their tokens, which is as good as random. \
                 Rare functions may be missing.\n",
                words::number(tally.counted)
            ))?;
        }
        Ok(())
    }
}

/// What a column is called, how many there are, and whether that is an estimate.
fn columns(counts: &Counts, estimated: Estimated) -> [(&'static str, u64, bool); 5] {
    [
        ("running", counts.running, estimated.running),
        ("lease_over", counts.lease_over, estimated.running),
        ("interrupted", counts.interrupted, estimated.interrupted),
        ("free", counts.free, estimated.others),
        ("done", counts.done, estimated.others),
    ]
}

fn object(tally: &Tally, counts: &Counts) -> Object {
    let columns = columns(counts, tally.estimated).into_iter();
    columns.fold(Object::new(), |object, (name, count, _)| object.number(name, count))
}

fn table(tally: &Tally) -> String {
    let shown = |(_, count, estimated)| match (count, estimated) {
        (0, false) => "-".into(),
        (count, false) => words::number(count),
        (count, true) => words::about(count),
    };
    let row = |function: String, counts: &Counts| {
        columns(counts, tally.estimated).into_iter().map(shown).chain([function]).collect::<Vec<String>>()
    };
    let mut rows: Vec<_> =
        tally.functions.iter().map(|(function, counts)| row(words::clean(function), counts)).collect();
    if rows.len() != 1 {
        rows.push(row("all functions".into(), &tally.all));
    }
    let headings = ["RUNNING", "LEASE OVER", "INTERRUPTED", "FREE", "DONE", "FUNCTION"];
    out::table(&headings, &[true, true, true, true, true, false], &rows)
}
