//! The plot of what callers were told: a bar for each step, drawn by the device.

use maud::{Markup, html};

use super::live::NAMES;
use crate::history::{Counts, STEP};
use crate::look::words;

/// The plot's own units; it is drawn as wide as the page.
const HEIGHT: f64 = 100.0;
const BAR: f64 = 4.0;

pub(super) fn plot(steps: &[Counts]) -> Markup {
    let most = steps.iter().map(|counts| counts.iter().sum::<u64>()).max().unwrap_or_default();
    let top = ceiling(most);
    let width = steps.len() as f64 * BAR;
    let minutes = STEP.as_secs() * steps.len() as u64 / 60;
    html! {
        figure.plot {
            div.axis aria-hidden="true" { span { (words::number(top)) } span { "0" } }
            svg viewBox={ "0 0 " (width) " " (HEIGHT) } preserveAspectRatio="none" role="img" aria-labelledby="plot-title plot-text" {
                title #plot-title { "First calls, replays and refusals in the last " (minutes) " minutes" }
                desc #plot-text { (text(steps, minutes)) }
                @for line in [0.25, 0.5, 0.75] {
                    line.grid x1="0" x2=(width) y1=(line * HEIGHT) y2=(line * HEIGHT) {}
                }
                @for (index, counts) in steps.iter().enumerate() {
                    @for (class, y, height) in bars(*counts, top) {
                        rect class=(class) x=(index as f64 * BAR) y=(rounded(y)) width=(BAR - 0.8) height=(rounded(height)) {}
                    }
                }
                line.base x1="0" x2=(width) y1=(HEIGHT) y2=(HEIGHT) {}
            }
            figcaption {
                span { (minutes) " minutes ago" }
                span { "calls in " (STEP.as_secs()) " seconds" }
                span { "now" }
            }
        }
    }
}

/// The bars of one step that are not empty, one on top of the other: where each begins and how high it is.
fn bars(counts: Counts, top: u64) -> Vec<(&'static str, f64, f64)> {
    let mut below = 0;
    let mut bars = Vec::new();
    for ((_, class), count) in NAMES.iter().zip(counts) {
        if count > 0 {
            let height = count as f64 / top as f64 * HEIGHT;
            below += count;
            bars.push((*class, HEIGHT - below as f64 / top as f64 * HEIGHT, height));
        }
    }
    bars
}

fn rounded(number: f64) -> f64 {
    (number * 100.0).round() / 100.0
}

/// The next of 4, 10, 20, 40, 100, …
fn ceiling(most: u64) -> u64 {
    let mut unit = 1_u64;
    loop {
        for step in [4, 10, 20] {
            if let Some(top) = unit.checked_mul(step).filter(|top| *top >= most) {
                return top;
            }
        }
        match unit.checked_mul(10) {
            Some(larger) => unit = larger,
            None => return u64::MAX,
        }
    }
}

/// The plot in words.
fn text(steps: &[Counts], minutes: u64) -> String {
    let sum = |index: usize| steps.iter().map(|counts| counts[index]).sum::<u64>();
    let parts: Vec<_> = NAMES
        .iter()
        .enumerate()
        .map(|(index, (name, _))| format!("{} {name}", words::number(sum(index))))
        .collect();
    format!("In the last {minutes} minutes: {}.", parts.join(", "))
}

#[cfg(test)]
mod tests {
    use super::{bars, ceiling, plot};

    #[test]
    fn bars_stand_one_on_the_other_and_fit() {
        let tops: Vec<_> = [0, 4, 5, 11, 21, 99, 1_001, u64::MAX].into_iter().map(ceiling).collect();
        assert_eq!(tops, [4, 4, 10, 20, 40, 100, 2_000, u64::MAX]);
        assert_eq!(bars([1, 0, 2], 4), [("first", 75.0, 25.0), ("refusal", 25.0, 50.0)]);
        let svg = plot(&[[0, 0, 0], [3, 1, 0]]).into_string();
        assert!(svg.contains("3 first calls, 1 replays, 0 refusals"), "{svg}");
        assert_eq!(svg.matches("<rect").count(), 2);
        assert!(!svg.contains("style="), "{svg}");
    }
}
