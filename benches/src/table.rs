//! The table that is printed.

use crate::measure::Ratio;

/// One comparison.
pub struct Row {
    what: String,
    idem: String,
    beside: String,
    ratio: Option<Ratio>,
    target: Option<Target>,
}

/// What the ratio is to be.
#[derive(Clone, Copy)]
pub enum Target {
    AtMost(f64),
    AtLeast(f64),
}

impl Row {
    pub fn new(what: impl Into<String>, idem: impl Into<String>, beside: impl Into<String>) -> Self {
        Row { what: what.into(), idem: idem.into(), beside: beside.into(), ratio: None, target: None }
    }

    pub fn ratio(mut self, ratio: impl Into<Ratio>) -> Self {
        self.ratio = Some(ratio.into());
        self
    }

    pub fn at_most(mut self, target: f64) -> Self {
        self.target = Some(Target::AtMost(target));
        self
    }

    pub fn at_least(mut self, target: f64) -> Self {
        self.target = Some(Target::AtLeast(target));
        self
    }

    fn line(&self) -> String {
        let ratio = self.ratio.map_or(String::new(), |ratio| {
            let spread =
                ratio.quartiles.map_or(String::new(), |(low, high)| format!(" ({low:.2}–{high:.2})"));
            format!("**{:.2}**{spread}", ratio.median)
        });
        let target = match (self.target, self.ratio) {
            (Some(target), Some(ratio)) => {
                let (sign, limit, met) = match target {
                    Target::AtMost(limit) => ("≤", limit, ratio.median <= limit),
                    Target::AtLeast(limit) => ("≥", limit, ratio.median >= limit),
                };
                format!("{sign} {limit} {}", if met { "✓" } else { "✗" })
            }
            _ => String::new(),
        };
        format!("| {} | {} | {} | {ratio} | {target} |", self.what, self.idem, self.beside)
    }
}

pub fn print(rows: &[Row]) {
    println!("| what | idem | beside it | ratio (middle half of the rounds) | target |");
    println!("| --- | --- | --- | --- | --- |");
    for row in rows {
        println!("{}", row.line());
    }
}

/// A time per operation.
pub fn time(nanos: f64) -> String {
    match nanos {
        _ if nanos < 1e3 => format!("{nanos:.0} ns"),
        _ if nanos < 1e6 => format!("{:.1} µs", nanos / 1e3),
        _ if nanos < 1e9 => format!("{:.1} ms", nanos / 1e6),
        _ => format!("{:.2} s", nanos / 1e9),
    }
}
